"""``kill -9`` of web and worker in the midst of their work: nothing acknowledged is lost, nothing is merged twice."""

import random
import signal

import psutil

from gateway.services.webhooks.wakeup import defer_drain
from tests.faults.burst import Burst
from tests.faults.merged import (
    acknowledged_but_lost,
    assert_merged_once,
    freeze_in_mid_drain,
    half_done,
    locked,
    one_event_each,
    pending,
    some_moment,
    store,
)
from tests.support.deployment import Deployment
from tests.support.processes import Process
from tests.support.wait import eventually


def strike(web: Process, burst: Burst, victims: list[psutil.Process]) -> None:
    """In the midst of a burst, freeze all that serves, see that deliveries are on their way, and kill the victims."""
    already = len(burst.acknowledged)
    burst.start()
    eventually(lambda: len(burst.acknowledged) > already + 50)
    some_moment()
    web.send(signal.SIGSTOP)
    assert burst.in_flight > 0, "nothing was on its way"
    assert burst.waiting > burst.in_flight, "the burst was over"
    for victim in victims:
        victim.kill()
    web.send(signal.SIGCONT)
    burst.stop()


def test_what_was_acknowledged_before_web_was_killed_is_stored_and_the_rest_comes_again(own: Deployment) -> None:
    deliveries = one_event_each(own, 1500)
    with Burst(own.port, deliveries) as burst:
        web = own.serve()
        one_worker = random.choice(web.children())  # noqa: S311 - no secret
        strike(web, burst, [one_worker])
        assert acknowledged_but_lost(own, burst.acknowledged) == set()

        eventually(lambda: one_worker not in web.children() and len(web.children()) == 2)
        orphans = web.children()
        strike(web, burst, [psutil.Process(web.pid)])
        web.wait()
        psutil.wait_procs(orphans, timeout=30)  # gunicorn's workers end when their master is gone
        assert acknowledged_but_lost(own, burst.acknowledged) == set()

        web = own.serve()
        cut = burst.cut
        strike(web, burst, [psutil.Process(web.pid), *web.children()])
        assert burst.cut > cut
        assert acknowledged_but_lost(own, burst.acknowledged) == set()

        own.serve()
        burst.finish()
    own.work()
    eventually(lambda: pending(own) == 0)
    assert_merged_once(own, deliveries)


def test_a_worker_that_is_killed_in_mid_drain_leaves_every_event_either_as_it_was_or_done(own: Deployment) -> None:
    deliveries = one_event_each(own, 3000)
    store(own, deliveries)
    for _ in range(3):
        worker = own.work()
        defer_drain(own.gateway.database)
        freeze_in_mid_drain(own, worker)
        worker.kill()
        eventually(lambda: locked(own) == 0)
        assert pending(own) > 0, "the inbox was drained"
        assert half_done(own) == 0
    own.work()
    defer_drain(own.gateway.database)
    eventually(lambda: pending(own) == 0)
    assert_merged_once(own, deliveries)


def test_no_event_is_ever_seen_merged_and_not_marked_or_marked_and_not_merged(own: Deployment) -> None:
    deliveries = one_event_each(own, 2000)
    store(own, deliveries)
    own.work()
    defer_drain(own.gateway.database)
    looks = 0
    while waiting := pending(own):
        assert half_done(own) == 0
        looks += waiting < len(deliveries)
    assert looks > 5, "it was over too soon to be looked at"
    assert_merged_once(own, deliveries)
