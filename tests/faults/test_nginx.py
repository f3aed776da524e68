"""``deploy/nginx.conf`` in front of the running gateway, with nginx as Debian ships it."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests

from gateway.config import MAX_BODY_BYTES
from gateway.endpoints.request_checks import MAX_BYTES
from tests.faults.raw_http import Answer, bearer, exchange, head
from tests.support.deployment import Deployment
from tests.support.processes import await_port, free_port
from tests.support.wait import eventually

CONFIGURATION = Path(__file__).parents[2] / "deploy" / "nginx.conf"
NGINX = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
CONNECTIONS_OF_AN_ADDRESS = 40
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")

pytestmark = pytest.mark.skipif(
    NGINX is None and os.environ.get("CI") != "true", reason="nginx is not installed (apt-get install nginx-light)"
)


def replaced(text: str, *pairs: tuple[str, str]) -> str:
    """Replace each text, which must be there."""
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    return text


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "nginx.log"


@pytest.fixture
def proxy(running: Deployment, tmp_path: Path, log: Path) -> Iterator[int]:
    """Run nginx in front of the gateway, and give its port."""
    assert NGINX is not None, "nginx must be installed where CI=true"
    port = free_port()
    paths = "".join(f"\n    {name}_temp_path {tmp_path / name};" for name in TEMPORARY)
    configuration = tmp_path / "nginx.conf"
    configuration.write_text(
        replaced(
            CONFIGURATION.read_text(),
            ("pid /run/nginx.pid;", f"pid {tmp_path / 'nginx.pid'};"),
            ("server 127.0.0.1:8000", f"server 127.0.0.1:{running.port}"),
            ("listen 8080", f"listen 127.0.0.1:{port}"),
            ("http {", "http {" + paths),
            ("access_log /var/log/nginx/access.log", f"access_log {log}"),
        )
    )
    command = [NGINX, "-e", "stderr", "-c", str(configuration), "-g", "daemon off;"]
    with (tmp_path / "errors").open("wb") as errors, subprocess.Popen(command, stderr=errors) as nginx:
        try:
            await_port(port)
            yield port
        finally:
            nginx.terminate()


def send(stage: Deployment, port: int, line: str, body: bytes = b"", *headers: str) -> Answer:
    length = [f"Content-Length: {len(body)}", "Content-Type: application/json"] if body else []
    return exchange(port, head(line, bearer(stage, "org_proxy"), *length, *headers, "Connection: close") + body)


def test_answers_pass_with_their_headers(running: Deployment, proxy: int) -> None:
    answer = send(running, proxy, "GET /v1/plans")
    assert (answer.status, answer.headers["cache-control"]) == (200, "no-store")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert send(running, proxy, "GET /v1/nothing").code == "not_found"


def test_request_id_passes_and_is_logged(running: Deployment, proxy: int, log: Path) -> None:
    answer = send(running, proxy, "GET /v1/plans", b"", "X-Request-Id: of-a-client")
    assert answer.headers["x-request-id"] == "of-a-client"
    made = send(running, proxy, "GET /v1/plans", b"", "X-Request-Id: not/safe").headers["x-request-id"]
    assert len(made) == 32
    eventually(lambda: made in log.read_text())  # both write their lines after the answer
    eventually(lambda: made in running.said())


@pytest.mark.usefixtures("running")
def test_slow_clients_never_reach_the_gateway(proxy: int) -> None:
    beginnings = (b"", b"GET / HT", head("POST /webhooks/stripe", "Content-Length: 100") + b"x")
    with ExitStack() as connections:
        for number in range(400):
            slow = connections.enter_context(socket.create_connection(("127.0.0.1", proxy), timeout=30))
            slow.sendall(beginnings[number % 2])
        for _ in range(20):
            slow = connections.enter_context(socket.create_connection(("127.0.0.1", proxy), timeout=30))
            slow.sendall(beginnings[2])
        for _ in range(4):
            assert requests.get(f"http://127.0.0.1:{proxy}/health/ready", timeout=5).ok


def test_one_address_has_a_bounded_number_of_requests(running: Deployment, proxy: int) -> None:
    request = head("POST /v1/subscription", "Content-Length: 100") + b"x"
    with ExitStack() as connections:

        def hold_connection() -> None:
            slow = connections.enter_context(socket.create_connection(("127.0.0.1", proxy), timeout=30))
            slow.sendall(request)

        for _ in range(CONNECTIONS_OF_AN_ADDRESS):
            hold_connection()
        answer = send(running, proxy, "GET /v1/plans")
        while answer.status == 200:  # it may have taken the place of a slow request, which nginx refused instead
            hold_connection()
            answer = send(running, proxy, "GET /v1/plans")
        assert (answer.status, answer.code) == (429, "rate_limited")
        # Stripe has a larger bound, so a burst of deliveries still comes through.
        assert send(running, proxy, "POST /webhooks/stripe", b"{}").code == "webhook_refused"
    eventually(lambda: send(running, proxy, "GET /v1/plans").status == 200)


@pytest.mark.parametrize("path", ["/metrics", "//metrics", "/%6detrics", "/METRICS", "/metrics/x", "/v1/../metrics"])
def test_metrics_are_not_forwarded(running: Deployment, proxy: int, path: str) -> None:
    assert send(running, proxy, f"GET {path}", b"", "SCRIPT_NAME: /v1", "X-Forwarded-Prefix: /v1").code == "not_found"


def test_bodies_have_the_gateways_limits(running: Deployment, proxy: int) -> None:
    too_large = send(running, proxy, "POST /v1/subscription", b" " * (MAX_BYTES + 1))
    assert (too_large.status, too_large.code) == (413, "payload_too_large")
    assert send(running, proxy, "POST /v1/usage", b" " * (MAX_BYTES + 1)).status == 403  # the token has no such scope
    event = b" " * (MAX_BODY_BYTES - 1)
    assert send(running, proxy, "POST /webhooks/stripe", event).code == "webhook_refused"
    assert send(running, proxy, "POST /webhooks/stripe", event + b"  ").code == "payload_too_large"


@pytest.mark.parametrize(
    ("request_bytes", "status", "code"),
    [
        (b"nonsense\r\n\r\n", 400, "malformed_request"),
        (head("GET /" + "x" * 9_000), 414, "uri_too_long"),
        (head("GET /", "A: " + "x" * 9_000), 431, "headers_too_large"),
        (head("POST /v1/subscription", "Transfer-Encoding: chunked") + b"ZZ\r\n", 400, "malformed_request"),
        (head("POST /v1/subscription", "Transfer-Encoding: chunked", "Content-Length: 2"), 400, "malformed_request"),
        (head("GET //v1/plans"), 404, "not_found"),
    ],
)
@pytest.mark.usefixtures("running")
def test_malformed_request_is_a_problem(proxy: int, request_bytes: bytes, status: int, code: str) -> None:
    answer = exchange(proxy, request_bytes)
    assert (answer.status, answer.code) == (status, code)


def test_log_holds_no_query_string(running: Deployment, proxy: int, log: Path, tmp_path: Path) -> None:
    for path in (
        "/v1/subscription?quote=query_of_a_client",
        "/" + "x" * 9_000 + "?query_of_a_client",
        "/%?query_of_a_client",
    ):
        send(running, proxy, f"GET {path}")
    assert '"GET /v1/subscription" 200' in log.read_text()
    assert "query_of_a_client" not in log.read_text() + (tmp_path / "errors").read_text() + running.said()


def test_gateway_that_is_away_is_a_problem(running: Deployment, proxy: int, tmp_path: Path) -> None:
    configuration = tmp_path / "nginx.conf"
    configuration.write_text(configuration.read_text().replace(f"127.0.0.1:{running.port}", f"127.0.0.1:{free_port()}"))
    assert NGINX is not None
    subprocess.run([NGINX, "-e", "stderr", "-c", str(configuration), "-s", "reload"], check=True, capture_output=True)
    while (answer := exchange(proxy, head("GET /health/live", "Connection: close"))).status == 200:
        pass
    assert (answer.status, answer.code) == (502, "gateway_unavailable")
