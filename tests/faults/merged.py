"""Makes one event for each of many organizations and checks that each was merged exactly once."""

import signal
from collections.abc import Sequence

import orjson
import psycopg

from gateway.services.webhooks.inbox import COLUMNS, build_row
from gateway.services.webhooks.wakeup import defer_drain
from tests.support import bulk_events
from tests.support.deployment import Deployment
from tests.support.processes import Process
from tests.support.wait import eventually

HALF_DONE = """
    SELECT count(*) FROM webhook_events AS event LEFT JOIN plan_history ON cause = event.id
    WHERE event.id LIKE 'evt_1Bench%%' AND (event.state = 'done') <> (cause IS NOT NULL)
"""

LOCKED = """
    SELECT (SELECT count(*) FROM webhook_events WHERE state = 'pending')
         - (SELECT count(*) FROM (SELECT FROM webhook_events WHERE state = 'pending' FOR UPDATE SKIP LOCKED) AS free)
"""

AT_WORK = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
    AND state = 'active' AND wait_event_type IS DISTINCT FROM 'Client'
"""


def one_event_each(stage: Deployment, organizations: int) -> Sequence[bytes]:
    """Create organizations without a plan. Return a delivery for each that puts it on Plus with its own quantity."""
    known = orjson.loads(bulk_events.RECORDED.read_bytes())["data"]["object"]["items"]["data"][0]["price"]["product"]
    stage.rows("UPDATE plans SET product_id = %s WHERE key = 'plus'", known)
    stage.rows(
        "INSERT INTO organizations (id, stripe_customer_id, created_at)"
        " SELECT 'org_' || number, 'cus_' || number, now() FROM generate_series(0, %s) AS number",
        organizations - 1,
    )
    return bulk_events.requests(organizations, organizations)


def store(stage: Deployment, deliveries: Sequence[bytes]) -> None:
    """Put events into the inbox as the webhook endpoint does, but do not wake the worker."""
    bodies = [delivery.partition(b"\r\n\r\n")[2] for delivery in deliveries]
    rows = [build_row(stage.gateway, body, stage.gateway.clock()) for body in bodies]
    values = ", ".join(["%s"] * len(COLUMNS))
    insert = f"INSERT INTO webhook_events ({', '.join(COLUMNS)}) VALUES ({values})"  # noqa: S608 - constants only
    with psycopg.connect(stage.environment["GATEWAY_DATABASE_URL"]) as connection, connection.cursor() as cursor:
        cursor.executemany(insert.encode(), rows)


def pending(stage: Deployment) -> int:
    """Return how many events are not processed yet."""
    return stage.number("SELECT count(*) FROM webhook_events WHERE state IN ('pending', 'failed')")


def locked(stage: Deployment) -> int:
    """Return how many pending events a drain's open transaction has locked."""
    return stage.number(LOCKED)


def at_work(stage: Deployment) -> int:
    """Return how many statements PostgreSQL is executing. Ignore those whose client does not read the answer."""
    return stage.number(AT_WORK)


def freeze_in_mid_drain(stage: Deployment, worker: Process) -> None:
    """Stop the worker's process with SIGSTOP while a drain's transaction is open. SIGCONT resumes it."""
    while True:
        eventually(lambda: locked(stage) > 0)
        worker.send(signal.SIGSTOP)
        if locked(stage) > 0:
            return
        worker.send(signal.SIGCONT)


def kill_in_mid_drain(stage: Deployment) -> None:
    """Start a worker and kill it in the middle of a drain. Return when PostgreSQL has released its locks."""
    worker = stage.work()
    defer_drain(stage.gateway.database)
    freeze_in_mid_drain(stage, worker)
    worker.kill()
    eventually(lambda: locked(stage) == 0)
    assert pending(stage) > 0, "the drain ended too early"


def acknowledged_but_lost(stage: Deployment, acknowledged: set[str]) -> set[str]:
    """Return the acknowledged events that are not in the inbox."""
    return acknowledged - {event_id for (event_id,) in stage.rows("SELECT id FROM webhook_events")}


def half_done(stage: Deployment) -> int:
    """Return how many events are merged but not marked done, or marked done but not merged.

    There must never be one. A single statement reads both tables, so that it sees one snapshot.
    """
    return stage.number(HALF_DONE)


def assert_merged_once(stage: Deployment, deliveries: Sequence[bytes]) -> None:
    """Check that every event is done, shows in the plan table and has one row in the history."""
    delivered = {}
    for delivery in deliveries:
        event = orjson.loads(delivery.partition(b"\r\n\r\n")[2])
        delivered[event["data"]["object"]["customer"]] = (event["id"], event["data"]["object"]["quantity"])
    ended = "SELECT state, attempts, count(*) FROM webhook_events WHERE id LIKE 'evt_1Bench%%' GROUP BY state, attempts"
    assert stage.rows(ended) == [("done", 0, len(deliveries))]
    merged = stage.rows(
        "SELECT stripe_customer_id, cause, (after ->> 'quantity')::int, quantity, plan, plan_history.version"
        " FROM plan_history JOIN organizations ON organizations.id = plan_history.organization_id"
        " JOIN organization_plans ON organization_plans.organization_id = organizations.id"
    )
    assert sorted(merged) == sorted(
        (customer, event_id, quantity, quantity, "plus", 1) for customer, (event_id, quantity) in delivered.items()
    )
