"""``price.*`` with a realistic payload."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from gateway.stripe_api.snapshots import PriceSnapshot, UnreadableObject
from tests.support.recorded_events import ABSENT, payload, recorded_snapshot, same, seen, with_change

CREATED = "price.created"

EXPECTED = PriceSnapshot(
    id="price_1JYB9xFgrLIb2c5FO47rtUma",
    seen=seen(datetime(2026, 11, 1, tzinfo=UTC), "evt_1stg5uZ8BHnwZFyPjiedPdLa", is_first=True),
    product_id="prod_SujWjdmPPD2U1D",
    lookup_key="konnect_plus_usd_month",
    currency="usd",
    unit_amount=25000,
    interval="month",
    active=True,
)


def test_created_has_the_price() -> None:
    assert same(recorded_snapshot(CREATED), EXPECTED)


def test_updated_has_the_new_lookup_key_and_the_previous_state() -> None:
    at = datetime(2026, 11, 6, 0, 4, tzinfo=UTC)
    expected = seen(at, "evt_1dDnIPeabu2XRbtkxR4Ojp6N", previous=EXPECTED.digest)
    assert same(
        recorded_snapshot("price.updated"), replace(EXPECTED, lookup_key="konnect_plus_usd_month_2", seen=expected)
    )


def test_deleted_is_a_deleted_price() -> None:
    assert payload("price.deleted")["data"]["object"]["active"] is True
    expected = seen(datetime(2026, 11, 6, 0, 5, tzinfo=UTC), "evt_1dDnIPeabu2XRbtkxR4Odddd")
    deleted = replace(EXPECTED, lookup_key="konnect_plus_usd_month_2", active=False, deleted=True, seen=expected)
    assert same(recorded_snapshot("price.deleted"), deleted)


def test_a_tiered_one_time_price_is_read() -> None:
    snapshot = with_change(CREATED, {"unit_amount": None, "recurring": None})
    assert same(snapshot, replace(EXPECTED, unit_amount=None, interval=None))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("id", "price_2"),
        ("product", "prod_2"),
        ("lookup_key", None),
        ("currency", "eur"),
        ("unit_amount", 24999),
        ("recurring.interval", "year"),
        ("active", False),
    ],
)
def test_each_mirrored_field_counts_as_a_change(path: str, value: object) -> None:
    assert with_change(CREATED, {path: value}).digest != EXPECTED.digest


@pytest.mark.parametrize(
    ("path", "value"),
    [("id", ABSENT), ("product", None), ("lookup_key", ABSENT), ("recurring", "month"), ("unit_amount", ABSENT)],
)
def test_an_object_of_another_shape_is_unreadable(path: str, value: object) -> None:
    with pytest.raises(UnreadableObject):
        with_change(CREATED, {path: value})
