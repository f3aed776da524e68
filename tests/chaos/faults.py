"""The faults, what happens under each, and what an operator does."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from tests.chaos.stage import Stage
from tests.chaos.strikes import (
    FAKETIME,
    behind_pooler,
    exhausted_connections,
    hung_worker,
    killed_sessions,
    late_clock,
    locked,
    locked_inbox,
    promoted_standby,
    read_only,
    replaced_processes,
    restarted,
)
from tests.support.hosts import can_cut_links
from tests.support.pgbouncer import PGBOUNCER


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One fault. ``strike`` keeps it up for the length of its block."""

    name: str
    strike: Callable[[Stage], AbstractContextManager[None]]
    happens: str
    advice: str
    in_doctor: str | None = None
    """A regular expression for what doctor says while it lasts. None if there is nothing to report."""
    in_metrics: str | None = None
    """The same for the metrics."""
    seconds: float = 6
    """How long it lasts, at least."""
    limit: float = 5
    """Within how many seconds of its end the merges must resume."""
    from_start: bool = False
    """Whether these seconds count from its start instead."""
    needs: Callable[[], bool] = lambda: True


FAULTS = (
    Fault(
        name="PostgreSQL is down for some seconds",
        strike=restarted,
        happens="Requests are 503. The worker waits.",
        advice="Start it. See [the runbook](runbook.md#gatewaydatabasedown).",
        in_doctor="database:",
        in_metrics="gateway_database_up 0.0",
    ),
    Fault(
        name="all sessions are ended every 2 seconds",
        strike=killed_sessions,
        happens="Some requests are 503. The sessions are replaced.",
        advice="Find out who ends them.",
        in_doctor="connection",  # of a worker, or its own, which may end too
        in_metrics="gateway_worker_connections_lost 1.0",
        seconds=20,
    ),
    Fault(
        name="no new connections, and LISTEN is cut",
        strike=exhausted_connections,
        happens="Web and worker go on with their connections.",
        advice="Free connections, or raise `max_connections`.",
        in_doctor="database:",
        in_metrics="gateway_database_up 0.0",
    ),
    Fault(
        name="one organization is locked",
        strike=locked("SELECT FROM organizations WHERE id = 'org_0' FOR UPDATE"),
        happens="Only its events wait. Its changes are 503.",
        advice="End the session that `gateway doctor` names.",
        in_doctor="locks: org_0 is locked by session",
        in_metrics="gateway_organizations_locked 1.0",
        seconds=30,
    ),
    Fault(
        name="the inbox is locked",
        strike=locked_inbox,
        happens="Deliveries are 503, and Stripe repeats them. Health is answered.",
        advice="End the session that `gateway doctor` names.",
        in_doctor="webhook_events is locked by session",
        in_metrics="gateway_database_up 0.0",
        seconds=20,
    ),
    Fault(
        name="the job queue is locked",
        strike=locked("LOCK TABLE procrastinate_jobs"),
        happens="Events are stored. Changes are 503. The worker waits.",
        advice="End the session that `gateway doctor` names.",
        in_doctor="procrastinate_jobs is locked by session",
        in_metrics="gateway_database_up 0.0",
        seconds=20,
    ),
    Fault(
        name="the database is read-only",
        strike=read_only,
        happens="Requests are 503, and readiness too. The worker waits.",
        advice="Make it writable, or promote the standby.",
        in_doctor="read-only",
        in_metrics="gateway_database_up 0.0",
        seconds=10,
    ),
    Fault(
        name="a worker's clock is 10 minutes behind",
        strike=late_clock,
        happens="Events are merged in time.",
        advice="Run NTP on the machine that `gateway doctor` names.",
        in_doctor="600 seconds behind the database's",
        in_metrics="gateway_worker_clocks_wrong 1.0",
        seconds=20,
        needs=lambda: bool(FAKETIME),
    ),
    Fault(
        name="a worker hangs while it holds a batch",
        strike=hung_worker,
        happens="Another worker keeps merging. The organizations of the batch wait until PostgreSQL ends it (15 s).",
        advice="Restart that worker.",
        in_doctor=r"is locked by session|jobs: \d+ stalled",
        in_metrics="gateway_organizations_locked [1-9]|gateway_jobs_stalled [1-9]",
        seconds=20,
    ),
    Fault(
        name="SIGHUP replaces the web processes twice",
        strike=replaced_processes,
        happens="No request is lost, so doctor and metrics have nothing to report.",
        advice="Nothing.",
    ),
    Fault(
        name="PgBouncer in transaction mode",
        strike=behind_pooler,
        happens="Web and worker refuse to start.",
        advice="Set its `pool_mode` to `session`, or connect to PostgreSQL directly.",
        in_doctor="leads to a connection pooler",
        in_metrics="ConnectionError",
        needs=lambda: PGBOUNCER is not None,
    ),
    Fault(
        name="the primary's host vanishes, and its standby is promoted after 20 seconds",
        strike=promoted_standby,
        happens="Requests are 503. Web and worker follow the promoted server.",
        advice="Promote the standby. Name both hosts in `GATEWAY_DATABASE_URL`.",
        in_doctor="database:",
        in_metrics="gateway_database_up 0.0",
        seconds=20,
        limit=60,
        from_start=True,
        needs=can_cut_links,
    ),
)
