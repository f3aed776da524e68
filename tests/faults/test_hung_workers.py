"""A worker that neither works nor dies, as on a machine that is suspended or cut off: the others go on."""

import signal
import time
from collections.abc import Sequence

from gateway.services.webhooks.wakeup import defer_drain
from tests.faults.burst import Burst
from tests.faults.merged import assert_merged_once, at_work, freeze_in_mid_drain, locked, one_event_each, pending, store
from tests.support.deployment import Deployment
from tests.support.processes import Process
from tests.support.wait import eventually


def settled_worker(stage: Deployment) -> Process:
    """A worker that is past the walks of its start, which find the catalogue's events: those had no endpoint."""
    worker = stage.work()
    walked = "SELECT count(*) FROM reconciliations WHERE kind = 'gap' AND finished_at IS NOT NULL"
    eventually(lambda: stage.number(walked) > 0 and stage.all_done())
    return worker


def hang(stage: Deployment, worker: Process) -> int:
    """Stop the worker's process while its drain holds events; gives how many."""
    while True:
        freeze_in_mid_drain(stage, worker)
        time.sleep(0.2)  # what was on its way to the database has arrived
        eventually(lambda: at_work(stage) == 0)  # and is done: a commit, on a slow disk
        if held := locked(stage):
            return held
        worker.send(signal.SIGCONT)


def with_a_hung_worker(stage: Deployment) -> tuple[Process, int, Sequence[bytes]]:
    """Web, and a worker that hangs; gives it, how many events it holds, and deliveries: the first 3000 are stored."""
    stage.serve()
    worker = settled_worker(stage)
    deliveries = one_event_each(stage, 4000)
    store(stage, deliveries[:3000])
    defer_drain(stage.gateway.database)
    return worker, hang(stage, worker), deliveries


def test_a_second_worker_takes_what_the_first_does_not_hold_and_waits_for_nothing(own: Deployment) -> None:
    first, held, deliveries = with_a_hung_worker(own)
    own.work()
    with Burst(own.port, deliveries[3000:]) as burst:
        burst.finish()
    eventually(lambda: pending(own) == held)
    first.send(signal.SIGCONT)
    eventually(lambda: pending(own) == 0)
    assert_merged_once(own, deliveries)


def test_what_a_hung_worker_holds_is_taken_from_it_after_half_a_minute(own: Deployment) -> None:
    first, _, deliveries = with_a_hung_worker(own)
    second = own.work()
    own.stripe.v1.products.update("konnect_enterprise", {"name": "Renamed"})  # merged when nobody else merges
    eventually(lambda: own.rows("SELECT name FROM plans WHERE key = 'enterprise'") == [("Renamed",)], seconds=60)
    eventually(lambda: pending(own) == 0, seconds=100)  # half a minute, and the drain that runs every minute
    second.kill()
    first.send(signal.SIGCONT)  # the hung one is none the worse for it
    with Burst(own.port, deliveries[3000:]) as burst:
        burst.finish()
    eventually(lambda: pending(own) == 0, seconds=100)
    assert_merged_once(own, deliveries)
