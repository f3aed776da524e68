"""Every deploy sends SIGTERM. Work in flight finishes in time, other work stays unchanged, and nothing is lost."""

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


def test_web_stopped_in_a_burst_answers_accepted_requests_in_time(own: Deployment) -> None:
    *deliveries, slow = one_event_each(own, 1500)
    web = own.serve()
    with Burst(own.port, deliveries) as burst, socket.create_connection(("127.0.0.1", own.port)) as half_sent:
        # Gunicorn listens before it accepts. If stopped while starting, it would reset the waiting connections.
        half_sent.settimeout(GRACE)
        half_sent.sendall(b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert status(half_sent) == 200
        half_sent.sendall(slow[:-100])
        burst.start()
        eventually(lambda: len(burst.acknowledged) > 100)
        assert burst.in_flight > 0, "no delivery was in flight"
        web.ask_to_stop()
        assert burst.waiting > burst.in_flight, "the burst ended too early"
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
    """Read a whole answer from a connection and return its status."""
    answer = HTTPResponse(connection)
    answer.begin()
    answer.read()
    return answer.status


def test_worker_stopped_in_mid_drain_finishes_only_its_batch(own: Deployment) -> None:
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
    assert pending(own) > 0, "the drain ended too early"
    assert half_done(own) == 0
    own.work()  # no new wake-up is needed, because the stopped worker has enqueued another drain
    eventually(lambda: pending(own) == 0)
    assert_merged_once(own, deliveries)


def test_worker_stopped_in_a_call_to_stripe_finishes_the_job(own: Deployment) -> None:
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
    assert own.number("SELECT count(*) FROM procrastinate_jobs WHERE args->>'stripe_id' = %s", ids["subscription"]) == 0
