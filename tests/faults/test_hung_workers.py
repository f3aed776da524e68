"""A worker hangs without dying, as on a suspended or disconnected machine. Other workers continue."""

import signal
from collections.abc import Sequence

import psycopg

from gateway.services.webhooks.drain import BATCH
from gateway.services.webhooks.wakeup import defer_drain
from tests.faults.burst import Burst
from tests.faults.merged import assert_merged_once, at_work, locked, one_event_each, pending, store
from tests.support.deployment import Deployment
from tests.support.processes import Process
from tests.support.wait import eventually

STORED, BY_WEB = 3 * BATCH, 300
BLOCKED = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend' AND wait_event_type = 'Lock'
"""


def settled_worker(stage: Deployment) -> Process:
    """Start a worker and wait until its first gap walk has fetched the events that preceded the webhook endpoint."""
    worker = stage.work()
    walked = "SELECT count(*) FROM reconciliations WHERE kind = 'gap' AND finished_at IS NOT NULL"
    eventually(lambda: stage.number(walked) > 0 and stage.all_done())
    return worker


def hang(stage: Deployment, worker: Process) -> int:
    """Start a drain and stop the worker's process inside its transaction. Return how many events it has locked."""
    with psycopg.connect(stage.environment["GATEWAY_DATABASE_URL"]) as connection:
        connection.execute("SELECT FROM organizations FOR UPDATE")  # stops the drain right after it has claimed events
        defer_drain(stage.gateway.database)
        eventually(lambda: stage.number(BLOCKED) > 0)
        worker.send(signal.SIGSTOP)
    eventually(lambda: at_work(stage) == 0)  # PostgreSQL has executed the statement that waited
    return locked(stage)


def with_a_hung_worker(stage: Deployment) -> tuple[Process, int, Sequence[bytes]]:
    """Start web and a worker, and hang the worker.

    Return the worker, the number of events that it has locked, and the deliveries, of which ``STORED`` are stored.
    """
    stage.serve()
    worker = settled_worker(stage)
    deliveries = one_event_each(stage, STORED + BY_WEB)
    store(stage, deliveries[:STORED])
    return worker, hang(stage, worker), deliveries


def test_second_worker_drains_what_a_hung_one_has_not_locked(own: Deployment) -> None:
    first, held, deliveries = with_a_hung_worker(own)
    own.work()
    with Burst(own.port, deliveries[STORED:]) as burst:
        burst.finish()
    eventually(lambda: pending(own) == held)
    first.send(signal.SIGCONT)
    eventually(lambda: pending(own) == 0)
    assert_merged_once(own, deliveries)


def test_hung_worker_loses_its_locked_events_after_half_a_minute(own: Deployment) -> None:
    first, _, deliveries = with_a_hung_worker(own)
    second = own.work()
    own.stripe.v1.products.update("konnect_enterprise", {"name": "Renamed"})  # its merge waits for the hung one
    eventually(lambda: own.rows("SELECT name FROM plans WHERE key = 'enterprise'") == [("Renamed",)], seconds=60)
    # PostgreSQL ends the hung transaction after 15 seconds. The next regular drain starts up to a minute later.
    eventually(lambda: pending(own) == 0, seconds=100)
    second.kill()
    first.send(signal.SIGCONT)  # the resumed worker must work as before
    with Burst(own.port, deliveries[STORED:]) as burst:
        burst.finish()
    eventually(lambda: pending(own) == 0, seconds=100)
    assert_merged_once(own, deliveries)
