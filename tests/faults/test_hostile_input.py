"""Gunicorn receives broken and hostile deliveries. It refuses each with a problem and never logs a traceback."""

import json
import socket
from http.client import HTTPResponse

import pytest
import requests

from gateway.config import MAX_BODY_BYTES
from tests.support.bulk_events import SECRET
from tests.support.deployment import Deployment, sign

EVENT = {
    "id": "evt_hostile",
    "object": "event",
    "type": "charge.succeeded",
    "created": 1_795_000_000,
    "api_version": "2026-10-28.endive",
    "livemode": False,
    "data": {"object": {"id": "ch_1", "object": "charge"}},
}
BODY = json.dumps(EVENT).encode()
pytestmark = pytest.mark.usefixtures("no_traceback")


def event(**changes: object) -> bytes:
    return json.dumps(EVENT | changes).encode()


def refused(answer: requests.Response, status: int = 400, code: str = "webhook_refused") -> bool:
    """Return whether the answer is this problem. Check its shape first."""
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert "Traceback" not in answer.text
    return (answer.status_code, answer.json()["code"]) == (status, code)


def stored(stage: Deployment) -> int:
    return stage.number("SELECT count(*) FROM webhook_events WHERE id LIKE 'evt_hostile%%'")


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b'"evt_hostile"',
        b"17",
        b"null",
        b"[" * 100_000,
        b'{"a":' * 20_000,
        b"\xff\xfe\xfa",
        BODY.replace(b"charge.succeeded", b"charge.\xed\xa0\x80"),
        BODY.replace(b"1795000000", b"NaN"),
        BODY.replace(b"1795000000", b"Infinity"),
        event(id="evt_hostile\0"),
        event(id="evt_hostile\ud800"),
        event(data={"object": {"id": "ch_\ud800", "object": "charge"}}),
        event(padding="\ud800").replace(b"1795000000", b"NaN"),
        b'"\\ud800' + b"[" * 100_000,
        b'["\\ud800", ' + b"[" * 100_000,
        event(type="charge.succeeded\n"),
        event(data={"object": {"id": "ch_\0", "object": "charge"}}),
    ],
    ids=[
        "a list",
        "a string",
        "a number",
        "null",
        "deep lists",
        "deep objects",
        "not UTF-8",
        "an encoded surrogate",
        "NaN",
        "Infinity",
        "NUL in the id",
        "a lone surrogate",
        "a lone surrogate in the object's id",
        "a lone surrogate and NaN",
        "a lone surrogate in an open string",
        "a lone surrogate and deep lists",
        "a newline after the type",
        "NUL in the object's id",
    ],
)
def test_signed_body_that_is_no_event_is_refused(running: Deployment, body: bytes) -> None:
    assert refused(running.deliver(body))
    assert stored(running) == 0


@pytest.mark.parametrize(
    "signature",
    [
        "t=1,v1=\xe4\xf6\xfc",
        "t=1795000000,v1=",
        "t=,v1=,",
        "v1",
        "t=1" * 1000,
    ],
    ids=["not ASCII", "empty", "empty fields", "one word", "long"],
)
def test_broken_signature_is_refused(running: Deployment, signature: str) -> None:
    assert refused(running.deliver(BODY, signature))
    assert stored(running) == 0


@pytest.mark.parametrize("age", [600, -600, -(10**9)], ids=["ten minutes ago", "in ten minutes", "in thirty years"])
def test_valid_signature_with_a_distant_timestamp_is_refused(running: Deployment, age: int) -> None:
    assert refused(running.deliver(BODY, sign(BODY, age=age)))
    assert stored(running) == 0


def test_signature_by_another_secret_is_refused(running: Deployment) -> None:
    assert refused(running.deliver(BODY, secret="whsec_of_somebody_else"))
    assert stored(running) == 0


def test_nul_and_surrogates_in_unread_fields_are_stored_unchanged(running: Deployment) -> None:
    body = event(
        id="evt_kept", type="customer.updated", data={"object": {"id": "cus_1", "description": "\0\x01\ud83d"}}
    )
    assert running.deliver(body).status_code == 200
    assert running.rows("SELECT payload FROM webhook_events WHERE id = 'evt_kept'") == [(body,)]


def chunked(stage: Deployment, body: bytes) -> HTTPResponse:
    """Deliver a body in chunks, without Content-Length."""
    head = (
        "POST /webhooks/stripe HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n"
        f"Stripe-Signature: {sign(body)}\r\n\r\n"
    )
    pieces = (body[start : start + 8192] for start in range(0, len(body), 8192))
    with socket.create_connection(("127.0.0.1", stage.port), timeout=30) as connection:
        connection.sendall(head.encode())
        for piece in pieces:
            connection.sendall(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        connection.sendall(b"0\r\n\r\n")
        answer = HTTPResponse(connection)
        answer.begin()
        answer.read()
        return answer


def test_chunked_body_is_stored_whole_or_refused(running: Deployment) -> None:
    padding = MAX_BODY_BYTES - len(event(id="evt_hostile_chunked", type="customer.updated", padding=""))
    for size, status in ((-1, 200), (0, 413), (1, 413), (50_000, 413)):
        body = event(id="evt_hostile_chunked", type="customer.updated", padding="x" * (padding + size))
        assert chunked(running, body).status == status, size
    [(payload,)] = running.rows("DELETE FROM webhook_events WHERE id = 'evt_hostile_chunked' RETURNING payload")
    assert len(payload) == MAX_BODY_BYTES - 1


def test_length_over_the_limit_is_refused_before_the_body_is_read(running: Deployment) -> None:
    head = (
        "POST /webhooks/stripe HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Content-Length: {MAX_BODY_BYTES + 1}\r\nStripe-Signature: t=1,v1=0\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", running.port), timeout=10) as connection:
        connection.sendall(head.encode())  # the body never follows
        answer = HTTPResponse(connection)
        answer.begin()
        assert answer.status == 413
        assert json.loads(answer.read())["code"] == "payload_too_large"


def test_rolled_secrets_are_both_valid_and_counted_separately(running: Deployment) -> None:
    secrets = running.environment["STRIPE_WEBHOOK_SECRETS"].split(",")
    assert secrets[1] == SECRET
    before = [signed_with(running, place) for place in range(2)]
    for place, secret in enumerate(secrets):
        assert running.deliver(event(id=f"evt_rolled{place}"), secret=secret).status_code == 200
    assert running.states("evt_rolled0", "evt_rolled1") != []
    assert [signed_with(running, place) - before[place] for place in range(2)] == [1, 1]


def signed_with(stage: Deployment, place: int) -> float:
    """Return how many signatures the metrics count for the secret at this position."""
    metrics = stage.metrics()
    prefix = f'gateway_webhook_signatures_total{{secret="{place}"}} '
    return sum(float(line.removeprefix(prefix)) for line in metrics.splitlines() if line.startswith(prefix))
