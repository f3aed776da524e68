"""The metrics are on an address of their own, and no request to the public address reaches them."""

import re
import socket

import pytest
import requests

from gateway.commands.serve import THREADS, WORKERS
from tests.faults.raw_http import bearer, exchange, head
from tests.support.deployment import Deployment
from tests.support.processes import free_port
from tests.support.wait import eventually


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/metrics", []),
        ("//metrics", []),
        ("/metrics/", []),
        ("/%6detrics", []),
        ("/%2fmetrics", []),
        ("/v1/../metrics", []),
        ("/x/metrics", ["SCRIPT_NAME: /x"]),
        ("/x/metrics", ["Script-Name: /x"]),
        ("/x/metrics", ["X-Forwarded-Prefix: /x"]),
        ("/x", ["PATH_INFO: /metrics"]),
        ("/x", ["X-Original-URL: /metrics", "X-Rewrite-URL: /metrics"]),
        ("http://127.0.0.1:9464/metrics", []),
        ("/metrics", ["X-Forwarded-Host: 127.0.0.1:9464"]),
    ],
)
def test_public_address_has_no_metrics(running: Deployment, path: str, headers: list[str]) -> None:
    answer = exchange(running.port, head(f"GET {path}", *headers))
    assert (answer.status, answer.code) == (404, "not_found")


def test_script_name_of_a_client_moves_no_path(running: Deployment) -> None:
    headers = ["SCRIPT_NAME: /x", bearer(running, "org_prefix")]
    assert exchange(running.port, head("GET /x/v1/plans", *headers)).code == "not_found"
    assert exchange(running.port, head("GET /v1/plans", *headers)).status == 200


def test_metrics_have_an_address_of_their_own(running: Deployment) -> None:
    url = f"http://127.0.0.1:{running.metrics_port}"
    assert "gateway_database_up 1.0" in running.metrics()
    assert requests.get(f"{url}/v1/plans", timeout=10).status_code == 404
    assert requests.post(f"{url}/metrics", timeout=10).status_code == 501


def answered(metrics: str) -> float:
    found = re.search(r'gateway_webhook_deliveries_total\{status="400"\} (\S+)', metrics)
    return float(found[1]) if found else 0


def test_metrics_count_for_all_processes_and_survive_one_that_dies(own: Deployment) -> None:
    web = own.serve()
    for _ in range(20):  # a connection each, so that both processes get some
        own.deliver(b"{}", "t=1,v1=00")
    assert {answered(own.metrics()) for _ in range(10)} == {20}
    eventually(lambda: len(web.children()) == WORKERS)
    dying = web.children()[0]
    dying.kill()
    eventually(lambda: dying.pid not in {each.pid for each in web.children()} and len(web.children()) == WORKERS)
    eventually(lambda: web.log().count("Booting worker") == WORKERS + 1)
    own.deliver(b"{}", "t=1,v1=00")
    assert {answered(own.metrics()) for _ in range(10)} == {21}


def test_metrics_are_there_while_all_threads_are_busy(own: Deployment) -> None:
    own.serve()
    own.enrol("org_busy")
    own.fault("delay", path="/v1/invoices/create_preview", seconds=5, times=1000)
    token = bearer(own, "org_busy")
    request = head("POST /v1/subscription/preview", token, "Content-Type: application/json", "Content-Length: 16")
    clients = [socket.create_connection(("127.0.0.1", own.port), timeout=60) for _ in range(WORKERS * THREADS)]
    try:
        for each in clients:
            each.sendall(request + b'{"plan": "plus"}')
        eventually(lambda: own.faults()[0]["fired"] > 0)
        assert "gateway_workers" in own.metrics()
    finally:
        for each in clients:
            each.close()


def test_slow_scrape_holds_up_no_request(running: Deployment) -> None:
    with socket.create_connection(("127.0.0.1", running.metrics_port), timeout=10) as slow:
        slow.sendall(b"GET /metrics HTTP/1.1\r\n")
        assert requests.get(f"http://127.0.0.1:{running.port}/health/ready", timeout=5).ok


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("127.0.0.1:{taken}", "Choose another address with --metrics-bind."),
        ("nonsense", "--metrics-bind must look like 127.0.0.1:9464"),
        ("127.0.0.1:port", "--metrics-bind must look like 127.0.0.1:9464"),
    ],
)
def test_address_that_cannot_be_used_is_named_in_one_line(own: Deployment, address: str, words: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        bind = address.format(taken=taken.getsockname()[1])
        done = own.command("serve", f"--bind=127.0.0.1:{free_port()}", f"--metrics-bind={bind}")
    assert done.returncode in {1, 2}
    assert words in done.stderr
    assert "Traceback" not in done.stderr
