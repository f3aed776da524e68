"""Webhook deliveries, their signatures and their retries."""

import threading
import time

import pytest
import requests
import stripe

from gateway.sandbox import Sandbox
from tests.support.clock import ManualClock
from tests.support.faults import resend
from tests.support.stripe_account import StripeAccount
from tests.support.wait import eventually
from tests.support.webhook_receiver import WebhookReceiver, endpoint


def test_event_is_delivered_signed_and_as_listed(account: StripeAccount, receiver: WebhookReceiver) -> None:
    hook = endpoint(account, receiver)
    assert hook.secret is not None
    assert hook.secret.startswith("whsec_")
    account.v1.customers.create({"name": "A"})
    eventually(lambda: len(receiver.received) == 1)
    body, signature = receiver.received[0]
    event = account.client.construct_event(body, signature, hook.secret)
    assert (event.type, event.pending_webhooks) == ("customer.created", 1)
    eventually(lambda: account.v1.events.retrieve(event.id).pending_webhooks == 0)


def test_endpoint_gets_only_its_enabled_events(account: StripeAccount, receiver: WebhookReceiver) -> None:
    endpoint(account, receiver, "product.created")
    account.v1.customers.create({"name": "A"})
    account.v1.products.create({"name": "Plus"})
    eventually(lambda: len(receiver.received) == 1)
    assert receiver.types() == ["product.created"]


@pytest.mark.parametrize("ahead", [-86400, 86400])
def test_signature_age_follows_the_receivers_clock(
    account: StripeAccount, receiver: WebhookReceiver, clock: ManualClock, ahead: int
) -> None:
    clock.now = time.time() + ahead
    hook = endpoint(account, receiver)
    account.v1.customers.create({"name": "A"})
    eventually(lambda: len(receiver.received) == 1)
    body, signature = receiver.received[0]
    assert hook.secret is not None
    assert abs(int(signature.partition(",")[0].removeprefix("t=")) - time.time()) < 60
    assert abs(account.client.construct_event(body, signature, hook.secret).created - clock.now) <= 1


@pytest.mark.parametrize("status", [500, 400, 302])
def test_rejected_event_is_retried_unchanged(account: StripeAccount, receiver: WebhookReceiver, status: int) -> None:
    endpoint(account, receiver)
    receiver.answers = [status, status]
    account.v1.customers.create({"name": "A"})
    eventually(lambda: len(receiver.received) == 3)
    assert len({body for body, _signature in receiver.received}) == 1


def test_each_attempt_has_a_new_signature(receiver: WebhookReceiver) -> None:
    with Sandbox(retry_delays=[1.0]) as sandbox:  # signatures count in whole seconds
        account = StripeAccount(sandbox)
        hook = endpoint(account, receiver)
        receiver.answers = [500]
        account.v1.customers.create({"name": "A"})
        eventually(lambda: len(receiver.received) == 2)
    assert hook.secret is not None
    for body, signature in receiver.received:
        assert stripe.WebhookSignature.verify_header(body.decode(), signature, hook.secret)
    assert receiver.received[0][1] != receiver.received[1][1]


def test_event_stays_undelivered_after_the_last_retry(account: StripeAccount, receiver: WebhookReceiver) -> None:
    endpoint(account, receiver, "customer.created")
    receiver.answers = [500] * 4
    account.v1.customers.create({"name": "A"})
    eventually(lambda: len(receiver.received) == 4)
    (event,) = account.v1.events.list({"delivery_success": False}).data
    assert event.pending_webhooks == 1


def test_every_event_arrives_exactly_once(account: StripeAccount, receiver: WebhookReceiver) -> None:
    endpoint(account, receiver)
    earlier = len(account.events())
    account.subscribe(account.customer().id, account.price(2000).id)
    events = [event.id for event in account.events()][earlier:]
    eventually(lambda: len(receiver.received) == len(events))
    assert sorted(receiver.ids()) == sorted(events)


def test_deliveries_do_not_wait_for_one_another(account: StripeAccount, receiver: WebhookReceiver) -> None:
    endpoint(account, receiver)
    receiver.barrier = threading.Barrier(4)  # no delivery gets a response before all four have arrived
    for name in "ABCD":
        account.v1.customers.create({"name": name})
    eventually(lambda: all(event.pending_webhooks == 0 for event in account.events()))
    assert len(receiver.received) == 4


def test_event_can_be_resent(sandbox: Sandbox, account: StripeAccount, receiver: WebhookReceiver) -> None:
    endpoint(account, receiver)
    account.v1.customers.create({"name": "A"})
    (event,) = account.events()
    eventually(lambda: account.v1.events.retrieve(event.id).pending_webhooks == 0)
    assert resend(sandbox.url, event.id) == {"event": event.id, "sent_to": [receiver.url]}
    eventually(lambda: receiver.ids() == [event.id] * 2)
    assert account.v1.events.retrieve(event.id).pending_webhooks == 0


def test_unknown_event_cannot_be_resent(sandbox: Sandbox) -> None:
    answer = requests.post(f"{sandbox.url}/_sandbox/events/evt_nope/resend", timeout=5)
    assert answer.status_code == 404
    assert answer.json()["error"]["message"] == "No such event: 'evt_nope'"


def test_request_does_not_wait_for_a_slow_endpoint(account: StripeAccount) -> None:
    account.v1.webhook_endpoints.create({"url": "http://127.0.0.1:9/closed", "enabled_events": ["*"]})
    started = time.monotonic()
    for _ in range(10):
        account.v1.customers.create({"name": "A"})
    assert time.monotonic() - started < 1


def test_close_leaves_no_thread_behind() -> None:
    before = set(threading.enumerate())
    with Sandbox() as sandbox:
        account = StripeAccount(sandbox)
        account.v1.webhook_endpoints.create({"url": "http://127.0.0.1:9/closed", "enabled_events": ["*"]})
        account.v1.customers.create({"name": "A"})
    assert set(threading.enumerate()) <= before
    Sandbox().close()


def test_port_in_use_raises_an_os_error(sandbox: Sandbox) -> None:
    with pytest.raises(OSError, match="in use"):
        Sandbox(port=int(sandbox.url.rpartition(":")[2]))
