"""SIGTERM, as in every deploy: what is in flight finishes in time, the rest is left as it was, and nothing is lost."""

import signal
import socket
import time
from http.client import HTTPResponse

from gateway.commands.worker import GRACE
from gateway.services.webhooks.wakeup import defer_drain
from tests.faults.burst import Burst
from tests.faults.merged import (
    acknowledged_but_lost,
    assert_merged_once,
    freeze_in_mid_drain,
    half_done,
    one_event_each,
    pending,
    store,
)
from tests.support.deployment import Deployment
from tests.support.wait import eventually


def test_web_that_is_stopped_in_a_burst_answers_what_it_has_taken_and_ends_in_time(own: Deployment) -> None:
    *deliveries, slow = one_event_each(own, 1500)
    web = own.serve()
    with Burst(own.port, deliveries) as burst, socket.create_connection(("127.0.0.1", own.port)) as half_sent:
        # A process listens before it accepts: one that is stopped while it still starts resets what waits for it.
        half_sent.settimeout(GRACE)
        half_sent.sendall(b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert status(half_sent) == 200
        half_sent.sendall(slow[:-100])
        burst.start()
        eventually(lambda: len(burst.acknowledged) > 100)
        assert burst.in_flight > 0, "nothing was on its way"
        web.ask_to_stop()
        assert burst.waiting > burst.in_flight, "the burst was over"
        half_sent.sendall(slow[-100:])
        assert status(half_sent) == 200
        assert web.wait() == 0
        burst.stop()
        assert acknowledged_but_lost(own, burst.acknowledged) == set()
        assert set(burst.refusals) == set()
        own.serve()
        burst.finish()
    own.work()
    defer_drain(own.gateway.database)
    eventually(lambda: pending(own) == 0)
    assert_merged_once(own, [*deliveries, slow])


def status(connection: socket.socket) -> int:
    """Read the answer on a connection, all of it."""
    answer = HTTPResponse(connection)
    answer.begin()
    answer.read()
    return answer.status


def test_a_worker_that_is_stopped_in_mid_drain_finishes_its_batch_and_leaves_the_rest(own: Deployment) -> None:
    deliveries = one_event_each(own, 4000)
    store(own, deliveries)
    worker = own.work()
    defer_drain(own.gateway.database)
    freeze_in_mid_drain(own, worker)
    worker.ask_to_stop()
    worker.send(signal.SIGCONT)
    began = time.monotonic()
    assert worker.wait() == 0
    assert time.monotonic() - began < GRACE
    assert pending(own) > 0, "the inbox was drained"
    assert half_done(own) == 0
    own.work()  # which is not told: the one before has left word
    eventually(lambda: pending(own) == 0)
    assert_merged_once(own, deliveries)


def test_a_worker_that_is_stopped_in_a_call_to_stripe_finishes_the_job(own: Deployment) -> None:
    own.serve()
    ids = own.enrol("org_1")
    worker = own.work()
    own.fault("delay", method="GET", path=f"/v1/subscriptions/{ids['subscription']}", seconds=60)
    own.refresh("subscription", ids["subscription"])
    eventually(lambda: own.faults()[0]["fired"] == 1)
    worker.ask_to_stop()
    eventually(lambda: own.number("SELECT count(*) FROM procrastinate_jobs WHERE status = 'doing'") > 0)
    assert worker.alive
    own.end_faults()
    assert worker.wait() == 0
    assert own.rows("SELECT source FROM subscriptions") == [("refresh",)]
    assert own.rows("SELECT status FROM procrastinate_jobs WHERE task_name = 'gateway.refresh'") == []
