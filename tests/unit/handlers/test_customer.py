"""``customer.*`` with a realistic payload."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from gateway.stripe_api.snapshots import CustomerSnapshot, Seen, Source, UnreadableObject
from tests.support.recorded_events import ABSENT, CUSTOMER, payload, recorded_snapshot, same, seen, with_change

UPDATED = "customer.updated"
AT = datetime(2026, 11, 5, 0, 3, tzinfo=UTC)

EXPECTED = CustomerSnapshot(
    id=CUSTOMER,
    seen=seen(datetime(2026, 11, 1, 0, 1, tzinfo=UTC), "evt_1uw1VB7NM4mdgu7iCPHrCyRy", is_first=True),
    organization_id="org_1",
    name="Acme",
    email="owner@acme.example",
    default_payment_method_id=None,
    default_source_id=None,
    currency=None,
    country=None,
    balance=0,
    discount_ids=(),
    deleted=False,
)
WITH_CARD = replace(EXPECTED, default_payment_method_id="pm_1buzrl7wqmmRcZJGl28BFm8R", currency="usd")


def test_created_has_the_organization() -> None:
    assert same(recorded_snapshot("customer.created"), EXPECTED)


def test_updated_has_the_default_card() -> None:
    # Only the next invoice's number changed. The mirror does not keep it, so both states have the same digest.
    expected = seen(AT, "evt_1ej0WeMpbAfdzM14mLxJ02iL", previous=WITH_CARD.digest)
    assert same(recorded_snapshot(UPDATED), replace(WITH_CARD, seen=expected))


def test_deleted_keeps_the_last_state_marked_as_deleted() -> None:
    assert "deleted" not in payload("customer.deleted")["data"]["object"]
    expected = seen(datetime(2026, 11, 5, 0, 4, tzinfo=UTC), "evt_1ej0WeMpbAfdzM14mLxJdddd")
    assert same(
        recorded_snapshot("customer.deleted"),
        replace(
            WITH_CARD,
            deleted=True,
            name=None,
            email=None,
            default_payment_method_id=None,
            currency=None,
            balance=0,
            seen=expected,
        ),
    )
    assert recorded_snapshot("customer.deleted").rank > recorded_snapshot(UPDATED).rank


def test_the_stub_of_a_deleted_customer_is_read_as_deleted() -> None:
    asked = Seen(as_of=AT, source=Source.REFRESH, cause="refresh")
    snapshot = CustomerSnapshot.read({"id": CUSTOMER, "object": "customer", "deleted": True}, asked)
    assert snapshot.deleted
    assert (snapshot.rank, snapshot.id, snapshot.organization_id) == (1, CUSTOMER, None)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("id", "cus_2"),
        ("name", "Other"),
        ("name", None),
        ("email", None),
        ("invoice_settings.default_payment_method", None),
        ("balance", -500),
    ],
)
def test_each_mirrored_field_counts_as_a_change(path: str, value: object) -> None:
    assert with_change(UPDATED, {path: value}).digest != recorded_snapshot(UPDATED).digest


def test_a_nul_does_not_reach_the_database() -> None:
    snapshot = with_change(UPDATED, {"name": "Ac\0me", "email": "a\0@acme.example"})
    assert isinstance(snapshot, CustomerSnapshot)
    assert (snapshot.name, snapshot.email) == ("Acme", "a@acme.example")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("id", ABSENT),
        ("name", ABSENT),
        ("name", 5),
        ("metadata", None),
        ("invoice_settings", None),
        ("balance", ABSENT),
    ],
)
def test_an_object_of_another_shape_is_unreadable(path: str, value: object) -> None:
    with pytest.raises(UnreadableObject):
        with_change(UPDATED, {path: value})
