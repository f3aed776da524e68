"""The handler of its type reads each recorded event."""

import pytest

from gateway.stripe_api.snapshots import Event, InvoiceSnapshot, Reference, Snapshot, SubscriptionSnapshot
from handlers import HANDLERS
from tests.support.recorded_events import PAYLOADS, payload, recorded_snapshot

RECORDED = sorted(path.stem for path in PAYLOADS.glob("*.json"))


@pytest.mark.parametrize("name", RECORDED)
def test_each_recorded_event_is_read(name: str) -> None:
    event = payload(name)
    assert event["type"] == name
    found = HANDLERS[name](Event.from_json(event))
    assert found
    for each in found:
        at = each.as_of if isinstance(each, Reference) else each.seen.as_of
        assert at is None or int(at.timestamp()) == event["created"]
        if isinstance(each, Snapshot):
            assert each.id == event["data"]["object"].get("id", each.id)


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("customer.subscription.paused", "paused"),
        ("customer.subscription.resumed", "active"),
        ("customer.subscription.trial_will_end", "trialing"),
        ("customer.subscription.pending_update_applied", "active"),
        ("customer.subscription.pending_update_expired", "active"),
    ],
)
def test_a_subscription_event_has_its_status(name: str, status: str) -> None:
    snapshot = recorded_snapshot(name)
    assert isinstance(snapshot, SubscriptionSnapshot)
    assert snapshot.status == status


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("invoice.finalized", "open"),
        ("invoice.marked_uncollectible", "uncollectible"),
        ("invoice.payment_action_required", "open"),
        ("invoice.payment_failed", "open"),
        ("invoice.payment_succeeded", "paid"),
        ("invoice.sent", "open"),
        ("invoice.voided", "void"),
    ],
)
def test_an_invoice_event_has_its_status(name: str, status: str) -> None:
    snapshot = recorded_snapshot(name)
    assert isinstance(snapshot, InvoiceSnapshot)
    assert snapshot.status == status
