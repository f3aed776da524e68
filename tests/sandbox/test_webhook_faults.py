"""Injected faults of webhooks, which drop, duplicate, delay, reorder and burst deliveries."""

import json
import threading
from collections.abc import Callable

import pytest

from gateway.sandbox import Sandbox
from tests.support.faults import end_faults, list_faults, request_fault, resend
from tests.support.stripe_account import StripeAccount
from tests.support.wait import eventually
from tests.support.webhook_receiver import WebhookReceiver, endpoint, receiving

Make = Callable[[int], list[str]]


@pytest.fixture
def make(account: StripeAccount, receiver: WebhookReceiver) -> Make:
    """Return a function that creates a number of customers and returns the ids of their events."""
    endpoint(account, receiver)

    def customers(number: int) -> list[str]:
        earlier = len(account.events())
        for _ in range(number):
            account.v1.customers.create({"name": "A"})
        return [event.id for event in account.events()][earlier:]

    return customers


def pending(account: StripeAccount) -> list[str]:
    """Return the ids of the events that some endpoint has not accepted, oldest first."""
    return [event.id for event in account.events(delivery_success=False)]


def test_dropped_event_stays_pending_until_it_is_resent(
    sandbox: Sandbox, account: StripeAccount, receiver: WebhookReceiver, make: Make
) -> None:
    request_fault(sandbox.url, kind="webhook_dropped")
    dropped, other = make(2)
    eventually(lambda: receiver.ids() == [other])
    eventually(lambda: pending(account) == [dropped])
    end_faults(sandbox.url)
    assert pending(account) == [dropped]
    resend(sandbox.url, dropped)
    eventually(lambda: pending(account) == [])
    assert receiver.ids() == [other, dropped]


def test_duplicate_is_the_same_event_and_counts_once(
    sandbox: Sandbox, account: StripeAccount, receiver: WebhookReceiver, make: Make
) -> None:
    with receiving() as second:
        endpoint(account, second)
        second.answers = [500] * 9
        request_fault(sandbox.url, kind="webhook_duplicated")
        (event,) = make(1)
        eventually(lambda: receiver.ids() == [event, event] and len(second.received) == 8)
        assert account.v1.events.retrieve(event).pending_webhooks == 1
    assert receiver.received[0][0] == receiver.received[1][0]


def test_duplicate_under_another_id_describes_the_same_change(
    sandbox: Sandbox, account: StripeAccount, receiver: WebhookReceiver, make: Make
) -> None:
    request_fault(sandbox.url, kind="webhook_duplicated_under_new_id")
    ids = make(1)
    eventually(lambda: sorted(receiver.ids()) == sorted(ids))
    assert len(set(ids)) == 2
    first, second = (json.loads(body) for body, _signature in receiver.received)
    del first["id"], second["id"]
    assert first == second
    eventually(lambda: pending(account) == [])


def test_delayed_event_is_overtaken(sandbox: Sandbox, receiver: WebhookReceiver, make: Make) -> None:
    request_fault(sandbox.url, kind="webhook_delayed", seconds=0.3)
    late, early = make(2)
    eventually(lambda: receiver.ids() == [early, late])


def test_clear_sends_a_delayed_event(sandbox: Sandbox, receiver: WebhookReceiver, make: Make) -> None:
    request_fault(sandbox.url, kind="webhook_delayed", seconds=600)
    late, early = make(2)
    eventually(lambda: receiver.ids() == [early])
    end_faults(sandbox.url)
    eventually(lambda: receiver.ids() == [early, late])


def test_reordered_events_arrive_last_first(sandbox: Sandbox, receiver: WebhookReceiver, make: Make) -> None:
    request_fault(sandbox.url, kind="webhook_reordered", count=5)
    ids = make(4)
    assert (list_faults(sandbox.url)[0]["held"], list_faults(sandbox.url)[0]["fired"]) == (4, 0)
    assert receiver.ids() == []
    ids += make(1)
    eventually(lambda: receiver.ids() == ids[::-1])
    assert (list_faults(sandbox.url)[0]["held"], list_faults(sandbox.url)[0]["left"]) == (0, 0)


def test_reordering_can_be_repeated(sandbox: Sandbox, receiver: WebhookReceiver, make: Make) -> None:
    request_fault(sandbox.url, kind="webhook_reordered", times=2)
    first = make(2)
    eventually(lambda: receiver.ids() == first[::-1])
    second = make(2)
    eventually(lambda: receiver.ids() == [*first[::-1], *second[::-1]])
    third = make(1)
    eventually(lambda: receiver.ids()[4:] == third)


def test_each_endpoint_gets_all_reordered_events(
    sandbox: Sandbox, account: StripeAccount, receiver: WebhookReceiver, make: Make
) -> None:
    with receiving() as second:
        endpoint(account, second)
        request_fault(sandbox.url, kind="webhook_reordered", count=3)
        ids = make(3)
        eventually(lambda: receiver.ids() == second.ids() == ids[::-1])


def test_rejected_event_does_not_block_those_behind_it(sandbox: Sandbox, receiver: WebhookReceiver, make: Make) -> None:
    receiver.answers = [500]
    request_fault(sandbox.url, kind="webhook_reordered")
    first, second = make(2)
    eventually(lambda: receiver.ids() == [second, first, second])


def test_burst_arrives_concurrently(sandbox: Sandbox, receiver: WebhookReceiver, make: Make) -> None:
    request_fault(sandbox.url, kind="webhook_burst", count=6)
    receiver.barrier = threading.Barrier(6)  # no delivery gets a response before all six have arrived
    ids = make(5)
    assert receiver.ids() == []
    ids += make(1)
    eventually(lambda: sorted(receiver.ids()) == sorted(ids))


@pytest.mark.parametrize("kind", ["webhook_burst", "webhook_reordered"])
def test_clear_sends_the_held_events(sandbox: Sandbox, receiver: WebhookReceiver, make: Make, kind: str) -> None:
    request_fault(sandbox.url, kind=kind, count=100)
    ids = make(3)
    assert receiver.ids() == []
    end_faults(sandbox.url)
    eventually(lambda: sorted(receiver.ids()) == sorted(ids))
    end_faults(sandbox.url)  # sends nothing a second time
    after = make(1)
    eventually(lambda: receiver.ids()[3:] == after)


def test_fault_strikes_only_matching_events(
    sandbox: Sandbox, account: StripeAccount, receiver: WebhookReceiver, make: Make
) -> None:
    request_fault(sandbox.url, kind="webhook_dropped", event="product.*", times=9)
    ids = make(1)
    account.v1.products.create({"name": "Plus"})
    eventually(lambda: receiver.ids() == ids)
    eventually(lambda: [event.type for event in account.events(delivery_success=False)] == ["product.created"])
    assert list_faults(sandbox.url)[0]["fired"] == 1


def test_event_without_an_endpoint_uses_up_no_fault(
    sandbox: Sandbox, account: StripeAccount, receiver: WebhookReceiver
) -> None:
    endpoint(account, receiver, "product.created")
    request_fault(sandbox.url, kind="webhook_dropped")
    account.v1.customers.create({"name": "A"})
    assert list_faults(sandbox.url)[0]["left"] == 1
