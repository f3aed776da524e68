"""``product.*`` with a realistic payload."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from gateway.stripe_api.snapshots import ProductSnapshot, UnreadableObject
from tests.support.recorded_events import ABSENT, payload, recorded_snapshot, same, seen, with_change

CREATED = "product.created"

EXPECTED = ProductSnapshot(
    id="prod_SujWjdmPPD2U1D",
    seen=seen(datetime(2026, 11, 1, tzinfo=UTC), "evt_1boDWVLdEZzkVrkCUDfUhR1U", is_first=True),
    key="plus",
    name="Plus",
    active=True,
)


def test_created_has_the_plan() -> None:
    assert same(recorded_snapshot(CREATED), EXPECTED)


def test_updated_has_the_new_name_and_the_previous_state() -> None:
    at = datetime(2026, 11, 6, 0, 3, tzinfo=UTC)
    expected = seen(at, "evt_1axixawhnlGgl5HW4EWB8KZx", previous=EXPECTED.digest)
    assert same(recorded_snapshot("product.updated"), replace(EXPECTED, name="Plus for teams", seen=expected))


def test_deleted_is_a_deleted_product() -> None:
    assert payload("product.deleted")["data"]["object"]["active"] is True
    expected = seen(datetime(2026, 11, 6, 0, 4, tzinfo=UTC), "evt_1axixawhnlGgl5HW4EWBdddd")
    deleted = replace(EXPECTED, name="Plus for teams", active=False, deleted=True, seen=expected)
    assert same(recorded_snapshot("product.deleted"), deleted)
    assert recorded_snapshot("product.deleted").rank > EXPECTED.rank


def test_a_product_without_a_plan_has_no_key() -> None:
    assert same(with_change(CREATED, {"metadata": {}}), replace(EXPECTED, key=None))


@pytest.mark.parametrize(
    ("path", "value"),
    [("id", "prod_2"), ("metadata.konnect_plan", "free"), ("metadata", {}), ("name", "Other"), ("active", False)],
)
def test_each_mirrored_field_counts_as_a_change(path: str, value: object) -> None:
    assert with_change(CREATED, {path: value}).digest != EXPECTED.digest


@pytest.mark.parametrize(
    ("path", "value"), [("id", ABSENT), ("metadata", None), ("metadata", ABSENT), ("name", 5), ("active", ABSENT)]
)
def test_an_object_of_another_shape_is_unreadable(path: str, value: object) -> None:
    with pytest.raises(UnreadableObject):
        with_change(CREATED, {path: value})
