"""Webhooks: signed, tried again until taken, counted."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import stripe

from gateway.sandbox import Sandbox
from tests.sandbox.support import Account, Clock


@dataclass
class Receiver:
    """An endpoint that answers what ``answers`` says, then 200."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    received: list[tuple[bytes, str]] = field(default_factory=list)

    def types(self) -> list[str]:
        return [json.loads(body)["type"] for body, _signature in self.received]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    state = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            state.received.append((body, self.headers["Stripe-Signature"]))
            status = state.answers.pop(0) if state.answers else 200
            self.send_response(status)
            if status in {301, 302, 307}:
                self.send_header("Location", state.url)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        state.url = f"http://127.0.0.1:{server.server_port}/hook"
        yield state
        server.shutdown()
        thread.join()


def eventually(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not true():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)


def endpoint(account: Account, receiver: Receiver, *types: str) -> stripe.WebhookEndpoint:
    params: Any = {"url": receiver.url, "enabled_events": list(types) or ["*"], "api_version": "2026-10-28.endive"}
    return account.v1.webhook_endpoints.create(params)


def test_an_event_arrives_signed_as_it_is_listed(account: Account, receiver: Receiver, clock: Clock) -> None:
    clock.now = time.time()
    hook = endpoint(account, receiver)
    assert hook.secret is not None
    assert hook.secret.startswith("whsec_")
    account.v1.customers.create({"name": "A"})
    eventually(lambda: len(receiver.received) == 1)
    body, signature = receiver.received[0]
    event = account.client.construct_event(body, signature, hook.secret)
    assert (event.type, event.pending_webhooks) == ("customer.created", 1)
    eventually(lambda: account.v1.events.retrieve(event.id).pending_webhooks == 0)


def test_only_what_was_asked_for_is_sent(account: Account, receiver: Receiver) -> None:
    endpoint(account, receiver, "product.created")
    account.v1.customers.create({"name": "A"})
    account.v1.products.create({"name": "Plus"})
    eventually(lambda: len(receiver.received) == 1)
    assert receiver.types() == ["product.created"]


@pytest.mark.parametrize("status", [500, 400, 302])
def test_what_is_not_taken_is_sent_again_the_same_but_signed_anew(
    account: Account, receiver: Receiver, clock: Clock, status: int
) -> None:
    hook = endpoint(account, receiver)
    assert hook.secret is not None
    receiver.answers = [status, status]
    account.v1.customers.create({"name": "A"})
    eventually(lambda: len(receiver.received) == 1)
    clock.now += 60
    eventually(lambda: len(receiver.received) == 3)
    bodies, signatures = zip(*receiver.received, strict=True)
    assert len(set(bodies)) == 1
    assert signatures[0] != signatures[2]
    assert stripe.WebhookSignature.verify_header(bodies[2].decode(), signatures[2], hook.secret)


def test_after_the_last_try_it_stays_undelivered(account: Account, receiver: Receiver) -> None:
    endpoint(account, receiver, "customer.created")
    receiver.answers = [500] * 4
    account.v1.customers.create({"name": "A"})
    eventually(lambda: len(receiver.received) == 4)
    (event,) = account.v1.events.list({"delivery_success": False}).data
    assert event.pending_webhooks == 1


def test_nothing_arrives_twice_and_everything_in_order(account: Account, receiver: Receiver) -> None:
    endpoint(account, receiver)
    told = len(account.events())
    account.subscribe(account.customer().id, account.price(2000).id)
    events = [event.id for event in account.events()][told:]
    eventually(lambda: len(receiver.received) == len(events))
    assert [json.loads(body)["id"] for body, _signature in receiver.received] == events


def test_a_request_does_not_wait_for_a_slow_endpoint(account: Account) -> None:
    account.v1.webhook_endpoints.create({"url": "http://127.0.0.1:9/closed", "enabled_events": ["*"]})
    started = time.monotonic()
    for _ in range(10):
        account.v1.customers.create({"name": "A"})
    assert time.monotonic() - started < 1


def test_closing_leaves_no_thread_behind() -> None:
    before = set(threading.enumerate())
    with Sandbox() as sandbox:
        account = Account(sandbox)
        account.v1.webhook_endpoints.create({"url": "http://127.0.0.1:9/closed", "enabled_events": ["*"]})
        account.v1.customers.create({"name": "A"})
    assert set(threading.enumerate()) <= before
    Sandbox().close()


def test_a_taken_port_is_an_os_error(sandbox: Sandbox) -> None:
    with pytest.raises(OSError, match="in use"):
        Sandbox(port=int(sandbox.url.rpartition(":")[2]))
