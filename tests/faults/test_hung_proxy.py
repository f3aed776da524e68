"""A proxy in front of the database stops passing bytes on. It still acknowledges them, so no timeout of TCP acts."""

import signal
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from psycopg.conninfo import conninfo_to_dict

from gateway.services.webhooks.wakeup import defer_drain
from tests.faults.merged import acknowledged_but_lost, assert_merged_once, one_event_each, pending, store
from tests.support.bulk_events import id_of
from tests.support.deployment import Deployment
from tests.support.hosts import forwarded
from tests.support.processes import await_port, free_port, running_gateway
from tests.support.wait import eventually

ENDS_WITHIN = 60  # seconds until the worker ends itself
UNAVAILABLE_WITHIN = 35  # seconds: 20 until a connection is given up, then another one is tried


@pytest.mark.long  # it waits until the worker takes its loops for stuck
def test_worker_whose_connections_hang_ends_itself(own: Deployment) -> None:
    url, first, second = own.environment["GATEWAY_DATABASE_URL"], free_port(), free_port()
    name = conninfo_to_dict(url)["dbname"]
    both = f"postgresql://postgres@/{name}?host=127.0.0.1,127.0.0.1&port={first},{second}"
    environment, log = {**own.environment, "GATEWAY_DATABASE_URL": both}, own.logs / "worker.log"
    deliveries = one_event_each(own, 20)
    with forwarded(url, "127.0.0.1", first) as proxy, forwarded(url, "127.0.0.1", second):
        await_port(first)
        await_port(second)
        with running_gateway(["worker"], environment, log) as worker:
            store(own, deliveries[:10])
            defer_drain(own.gateway.database)
            eventually(own.all_done)
            proxy.send_signal(signal.SIGSTOP)
            store(own, deliveries[10:])
            defer_drain(own.gateway.database)
            eventually(lambda: not worker.alive, ENDS_WITHIN)
            assert worker.status == 1
            assert '"worker_loop_stuck"' in worker.log()
        with running_gateway(["worker"], environment, log):
            eventually(lambda: pending(own) == 0)
        assert_merged_once(own, deliveries)


@pytest.mark.long  # it waits until web gives its connections up
def test_web_whose_connections_hang_answers_in_time(own: Deployment) -> None:
    url, port = own.environment["GATEWAY_DATABASE_URL"], free_port()
    name = conninfo_to_dict(url)["dbname"]
    deliveries = one_event_each(own, 20)
    with forwarded(url, "127.0.0.1", port) as proxy, ThreadPoolExecutor(20) as clients:
        await_port(port)
        own.environment["GATEWAY_DATABASE_URL"] = f"postgresql://postgres@127.0.0.1:{port}/{name}"
        own.serve()
        own.environment["GATEWAY_DATABASE_URL"] = url
        bodies = [each.partition(b"\r\n\r\n")[2] for each in deliveries]
        assert all(each.ok for each in clients.map(own.deliver, bodies[:10]))
        assert own.api("org_1", "GET", "/subscription").ok
        proxy.send_signal(signal.SIGSTOP)
        delivered = [clients.submit(own.deliver, each) for each in bodies[10:]]
        read = [clients.submit(own.api, "org_1", "GET", "/subscription") for _ in range(10)]
        assert requests.get(f"http://127.0.0.1:{own.port}/health/live", timeout=2).ok
        assert {each.result(UNAVAILABLE_WITHIN).status_code for each in (*delivered, *read)} == {503}
        proxy.send_signal(signal.SIGCONT)
        assert all(each.ok for each in clients.map(own.deliver, bodies))
        assert own.api("org_1", "GET", "/subscription").ok
    assert acknowledged_but_lost(own, {id_of(each) for each in deliveries}) == set()
