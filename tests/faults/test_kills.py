"""SIGKILL hits web and worker while they work. No acknowledged event is lost, and none is merged twice."""

import random
import signal

import psutil

from gateway.services.webhooks.wakeup import defer_drain
from tests.faults.burst import CONNECTIONS, Burst
from tests.faults.merged import (
    acknowledged_but_lost,
    assert_merged_once,
    half_done,
    kill_in_mid_drain,
    one_event_each,
    pending,
    store,
)
from tests.support.deployment import Deployment
from tests.support.processes import Process
from tests.support.wait import eventually


def strike(web: Process, burst: Burst, victims: list[psutil.Process]) -> None:
    """Freeze web during a burst, wait until every connection has an unanswered delivery, and kill the victims."""
    goal = len(burst.acknowledged) + random.randint(50, 150)  # noqa: S311 - not a secret
    burst.start()
    eventually(lambda: len(burst.acknowledged) > goal)
    web.send(signal.SIGSTOP)
    eventually(lambda: burst.count_unanswered() == CONNECTIONS)
    assert burst.waiting > burst.in_flight, "the burst ended too early"
    for victim in victims:
        victim.kill()
    web.send(signal.SIGCONT)
    psutil.wait_procs(victims, timeout=30)  # until then, they hold ports
    burst.stop()


def test_killed_web_has_stored_all_acknowledged_events(own: Deployment) -> None:
    deliveries = one_event_each(own, 1500)
    with Burst(own.port, deliveries) as burst:
        web = own.serve()
        eventually(lambda: len(web.children()) == 2)
        one_worker = random.choice(web.children())  # noqa: S311 - not a secret
        strike(web, burst, [one_worker])
        assert acknowledged_but_lost(own, burst.acknowledged) == set()

        eventually(lambda: one_worker not in web.children() and len(web.children()) == 2)
        orphans = web.children()
        strike(web, burst, [psutil.Process(web.pid)])
        web.wait()
        psutil.wait_procs(orphans, timeout=30)  # gunicorn's workers end when their master dies
        assert acknowledged_but_lost(own, burst.acknowledged) == set()

        web = own.serve()
        eventually(lambda: len(web.children()) == 2)  # the strike kills the children that it finds
        cut = burst.cut
        strike(web, burst, [psutil.Process(web.pid), *web.children()])
        assert burst.cut > cut
        assert acknowledged_but_lost(own, burst.acknowledged) == set()

        own.serve()
        burst.finish()
    own.work()
    eventually(lambda: pending(own) == 0)
    assert_merged_once(own, deliveries)


def test_worker_killed_in_mid_drain_leaves_no_event_half_done(own: Deployment) -> None:
    deliveries = one_event_each(own, 3000)
    store(own, deliveries)
    for _ in range(3):
        kill_in_mid_drain(own)
        assert half_done(own) == 0
    own.work()
    defer_drain(own.gateway.database)
    eventually(lambda: pending(own) == 0)
    assert_merged_once(own, deliveries)


def test_running_drain_never_shows_an_event_half_done(own: Deployment) -> None:
    deliveries = one_event_each(own, 6000)
    store(own, deliveries)
    own.work()
    defer_drain(own.gateway.database)
    checks = 0
    while waiting := pending(own):
        assert half_done(own) == 0
        checks += waiting < len(deliveries)
    assert checks > 5, "the drain ended before enough checks"
    assert_merged_once(own, deliveries)
