"""Each reason why a server cannot be used has a sentence of its own."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from gateway.errors import StripeRejected, StripeUnavailable
from gateway.services.operations import reachability
from gateway.services.operations.reachability import check_key_server, explain_stripe
from gateway.stripe_api import client
from gateway.stripe_api.client import stripe_call, stripe_client
from tests.support.config import config

REFUSED = "it refused the connection"
LATE = "it did not answer in time"
UNUSABLE = "it gave an answer that cannot be used"
WRONG_KEY = "it does not accept the key"


@contextmanager
def answering(answer: bytes | None) -> Iterator[str]:
    """Yield the address of a server that gives each client this answer, or none."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                with client:
                    client.recv(65536)
                    client.sendall(answer or b"")

        if answer is not None:
            threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


def http(status: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close"
    return head.encode() + b"\r\n\r\n" + body


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reachability, "TIMEOUT", 0.2)


@pytest.mark.parametrize(
    ("answer", "text"), [(None, LATE), (http("200 OK", b'{"keys": []}'), UNUSABLE), (http("200 OK", b"<p>"), UNUSABLE)]
)
def test_key_server_that_gives_no_keys_is_explained(answer: bytes | None, text: str) -> None:
    with answering(answer) as url:
        found = check_key_server(config(jwks_url=url, jwt_development_secret=None))
    assert (found.ok, text in found.text) == (False, True), found.text


def test_key_server_that_does_not_run_is_explained() -> None:
    found = check_key_server(config(jwks_url="http://127.0.0.1:1/", jwt_development_secret=None))
    assert (found.ok, REFUSED in found.text) == (False, True), found.text


def explain(url: str) -> str:
    """Return why a call to Stripe at this address fails."""
    try:
        with stripe_call():
            stripe_client("sk_test_x", url).v1.products.list(options={"max_network_retries": 0})
    except (StripeRejected, StripeUnavailable) as error:
        return explain_stripe(error)
    return "no error"


def test_wrong_key_and_refused_connection_are_two_sentences() -> None:
    with answering(http("401 Unauthorized", b'{"error": {"message": "Invalid API Key"}}')) as url:
        assert WRONG_KEY in explain(url)
    assert REFUSED in explain("http://127.0.0.1:1")


def test_late_answer_of_stripe_is_a_third_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "READ_TIMEOUT", 0.2)
    with answering(None) as url:
        assert LATE in explain(url)
