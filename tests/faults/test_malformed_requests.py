"""Requests that are no valid HTTP, or not JSON, sent to the running gunicorn. Each is refused as a problem."""

import re
import socket

import pytest

from gateway.endpoints.request_checks import MAX_BYTES
from tests.faults.raw_http import bearer, chunks, exchange, head
from tests.support.deployment import Deployment, sign

CHUNKED, JSON = "Transfer-Encoding: chunked", "Content-Type: application/json"
ROUTES = (
    "POST /webhooks/stripe",
    "PATCH /v1/subscription",
    "DELETE /v1/subscription",
    "GET /v1/subscription",
    "POST /v1/billing-details/setup-intent",
    "GET /health/live",
    "GET /v1/openapi.json",
    "POST /nowhere",
)
MALFORMED_CHUNKS = {
    "no number": b"ZZ\r\n{}\r\n0\r\n\r\n",
    "a negative number": b"-5\r\n{}\r\n0\r\n\r\n",
    "no size": b"\r\n{}\r\n0\r\n\r\n",
    "a long extension": b"2;" + b"x" * 30_000 + b"\r\n{}\r\n0\r\n\r\n",
    "an endless extension": b"2;" + b"x" * 30_000,
    "an extension that is not valid": b'2;a="\r\n{}\r\n0\r\n\r\n',
    "longer than said": b"1\r\n{}\r\n0\r\n\r\n",
    "a bare line feed": b"2\n{}\n0\n\n" + b"x" * 9_000,
    "a forbidden trailer": b"2\r\n{}\r\n0\r\nAuthorization: x\r\n\r\n",
}
pytestmark = pytest.mark.usefixtures("no_traceback")


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("body", MALFORMED_CHUNKS.values(), ids=MALFORMED_CHUNKS)
def test_malformed_chunk_is_a_400_on_every_route(running: Deployment, route: str, body: bytes) -> None:
    for credentials in ([], [bearer(running, "org_chunks"), f"Stripe-Signature: {sign(b'{}')}"]):
        answer = exchange(running.port, head(route, CHUNKED, JSON, *credentials) + body)
        assert (answer.status, answer.code) == (400, "malformed_request")


def upgrade_of(length: int) -> bytes:
    return b'{"plan": "plus"' + b" " * (length - 16) + b"}"


@pytest.mark.parametrize("length", [MAX_BYTES, MAX_BYTES + 1, 4 * MAX_BYTES, 20 * MAX_BYTES])
@pytest.mark.parametrize("framing", ["chunked", "with a length"])
def test_body_that_is_too_long_is_refused_and_not_executed(running: Deployment, length: int, framing: str) -> None:
    organization = f"org_long_{framing.replace(' ', '_')}_{length}"
    running.enrol(organization)
    body = upgrade_of(length)
    # The first 64 KiB are a whole command, which was executed when the rest was cut off.
    cut = b'{"plan": "plus"}' + b" " * (length - 16)
    for sent in (body, cut):
        headers = [JSON, bearer(running, organization)]
        if framing == "chunked":
            request = head("PATCH /v1/subscription", *headers, CHUNKED) + chunks(sent)
        else:
            request = head("PATCH /v1/subscription", *headers, f"Content-Length: {length}") + sent
        answer = exchange(running.port, request)
        assert (answer.status, answer.code) == (413, "payload_too_large")
    assert running.plan(organization)[0] == "free"


def test_body_just_under_the_limit_is_executed(running: Deployment) -> None:
    running.enrol("org_under")
    headers = [JSON, bearer(running, "org_under"), CHUNKED]
    body = upgrade_of(MAX_BYTES - 1)
    assert exchange(running.port, head("PATCH /v1/subscription", *headers) + chunks(body)).status == 200
    assert running.plan("org_under")[0] == "plus"


def test_chunk_that_announces_too_much_is_refused_before_it_comes(running: Deployment) -> None:
    request = head("POST /webhooks/stripe", CHUNKED) + b"FFFFFFF\r\n"
    answer = exchange(running.port, request)
    assert (answer.status, answer.code) == (413, "payload_too_large")


@pytest.mark.parametrize(
    "headers",
    [
        [CHUNKED, "Content-Length: 2"],
        ["Content-Length: 2", CHUNKED],
        ["Content-Length: 2", "Content-Length: 3"],
        ["Content-Length: 2, 2"],
        ["Content-Length: +2"],
        ["Content-Length: -2"],
        ["Content-Length: 0x2"],
        ["Transfer-Encoding: chunked, chunked"],
        ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"],
        ["Transfer-Encoding: gzip"],
        ["Transfer-Encoding: chunked, gzip"],
        ["Transfer-Encoding : chunked"],
        ["Content-Length : 2"],
        ["Content-Length: 2", " folded"],
    ],
)
def test_two_readings_of_where_a_body_ends_are_refused(running: Deployment, headers: list[str]) -> None:
    request = head("DELETE /v1/subscription", bearer(running, "org_smuggled"), JSON, *headers)
    answer = exchange(running.port, request + b"2\r\n{}\r\n0\r\n\r\nGET /v1/plans HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (answer.status, answer.code) == (400, "malformed_request")


def test_body_that_ends_early_is_not_executed(running: Deployment) -> None:
    running.enrol("org_early")
    request = head("PATCH /v1/subscription", bearer(running, "org_early"), JSON, "Content-Length: 1000")
    with socket.create_connection(("127.0.0.1", running.port), timeout=10) as connection:
        connection.sendall(request + b'{"plan": "plus"}')
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1000) == b""
    assert running.plan("org_early")[0] == "free"


NOT_JSON = {
    "not UTF-8": b'{"quote": "\xff"}',
    "only not UTF-8": b"\xff",
    "a byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": '{"quote": "x"}'.encode("utf-16"),
    "an encoded surrogate": b'{"quote": "\xed\xa0\x80"}',
    "NUL": b"\0",
    "NUL after it": b"{}\0",
    "only a space": b" ",
}


@pytest.mark.parametrize("body", NOT_JSON.values(), ids=NOT_JSON)
def test_body_that_is_not_json_is_refused_on_every_route(running: Deployment, body: bytes) -> None:
    organization = f"org_bytes_{body.hex()}"
    running.enrol(organization)
    for route in (
        "DELETE /v1/subscription",
        "DELETE /v1/subscription/changes/chg_1",
        "DELETE /v1/payment-methods/pm_1",
        "GET /v1/subscription",
        "GET /v1/plans",
        "POST /v1/subscription/preview",
        "POST /v1/billing-details/setup-intent",
        "POST /v1/invoices/in_1/pay",
        "PATCH /v1/subscription",
        "PUT /v1/payment-methods/default",
    ):
        request = head(route, bearer(running, organization), JSON, f"Content-Length: {len(body)}") + body
        answer = exchange(running.port, request)
        assert (answer.status, answer.code) == (400, "invalid_json"), route
    assert running.rows("SELECT count(*) FROM plan_changes WHERE organization_id = %s", organization) == [(1,)]


def test_fields_that_no_view_reads_are_refused(running: Deployment) -> None:
    for route in ("GET /v1/subscription", "POST /v1/billing-details/setup-intent", "DELETE /v1/payment-methods/pm_1"):
        request = head(route, bearer(running, "org_fields"), JSON, "Content-Length: 15") + b'{"plan":"plus"}'
        answer = exchange(running.port, request)
        assert (answer.status, answer.code) == (422, "invalid_request"), route


@pytest.mark.parametrize(
    "path",
    [
        "/v1//subscription",
        "//v1/subscription",
        "/v1/subscription/",
        "//",
        "//evil.example/v1/subscription",
        "/v1/subscription//changes",
        "/v1/%2Fsubscription",
        "/v1/./subscription",
        "/v1/plans/../subscription",
        "http://evil.example//v1/subscription",
    ],
)
def test_path_with_another_spelling_is_unknown(running: Deployment, path: str) -> None:
    answer = exchange(running.port, head(f"GET {path}", bearer(running, "org_paths"), "X-Forwarded-Host: evil.example"))
    assert (answer.status, answer.code) == (404, "not_found")
    assert "location" not in answer.headers
    assert b"example" not in answer.body


PARSER_ERRORS = {
    "no request line": (b"nonsense\r\n\r\n", 400, "malformed_request"),
    "no version": (b"GET /\r\n\r\n", 400, "malformed_request"),
    "another version": (b"GET / HTTP/3.0\r\n\r\n", 400, "malformed_request"),
    "a method in small letters": (b"get / HTTP/1.1\r\nHost: x\r\n\r\n", 400, "malformed_request"),
    "a bare line feed": (b"GET / HTTP/1.1\nHost: x\n\n", 400, "malformed_request"),
    "a header without a colon": (b"GET / HTTP/1.1\r\nBearer secret\r\n\r\n", 400, "malformed_request"),
    "a folded header": (b"GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n", 400, "malformed_request"),
    "two hosts": (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "malformed_request"),
    "not ASCII": (b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n", 400, "malformed_request"),
    "binary": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, "malformed_request"),
    "a long line": (b"GET /" + b"x" * 5_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414, "uri_too_long"),
    "a long header": (b"GET / HTTP/1.1\r\nA: " + b"x" * 9_000 + b"\r\n\r\n", 431, "headers_too_large"),
    "many headers": (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 100 + b"\r\n", 431, "headers_too_large"),
    "an endless head": (b"GET / HTTP/1.1\r\n" + b"A: bcdefgh\r\n" * 6_000, 431, "headers_too_large"),
    "another coding": (
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: br\r\n\r\n",
        501,
        "transfer_coding_unsupported",
    ),
    "an expectation": (b"POST / HTTP/1.1\r\nHost: x\r\nExpect: x\r\n\r\n", 417, "expectation_failed"),
}


@pytest.mark.parametrize(("request_bytes", "status", "code"), PARSER_ERRORS.values(), ids=PARSER_ERRORS)
def test_request_that_gunicorn_refuses_is_a_problem(
    running: Deployment, request_bytes: bytes, status: int, code: str
) -> None:
    answer = exchange(running.port, request_bytes)
    assert (answer.status, answer.code) == (status, code)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"


def test_body_is_sent_after_our_continue(running: Deployment) -> None:
    headers = [JSON, bearer(running, "org_continue"), "Content-Length: 16", "Expect: 100-continue"]
    with socket.create_connection(("127.0.0.1", running.port), timeout=10) as connection:
        connection.sendall(head("POST /v1/subscription", *headers))
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b'{"plan": "free"}')
        assert connection.recv(100).startswith(b"HTTP/1.1 201 ")


def test_requests_that_are_sent_together_are_answered_in_order(running: Deployment) -> None:
    with socket.create_connection(("127.0.0.1", running.port), timeout=10) as connection:
        connection.sendall(
            head("GET /health/live") + head("GET /nowhere") + head("GET /health/live", "Connection: close")[:30]
        )
        connection.sendall(head("GET /health/live", "Connection: close")[30:])
        received = b""
        while piece := connection.recv(4096):
            received += piece
    assert re.findall(rb"HTTP/1.1 (\d+)", received) == [b"200", b"404", b"200"]
