"""An event, and the object's previous state."""

import copy
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sandbox.events import previous_attributes
from gateway.stripe_api.events import Event, UnreadableObject, before
from gateway.stripe_api.times import from_unix, from_unix_or_none, to_unix

EVENT: dict[str, Any] = {
    "id": "evt_1",
    "object": "event",
    "type": "customer.updated",
    "created": 1_793_491_200,
    "api_version": "2026-10-28.endive",
    "data": {"object": {"id": "cus_1", "name": "New"}, "previous_attributes": {"name": "Old"}},
}


def test_an_event_is_read() -> None:
    assert Event.from_json(EVENT) == Event(
        id="evt_1",
        type="customer.updated",
        created=datetime(2026, 11, 1, tzinfo=UTC),
        api_version="2026-10-28.endive",
        object={"id": "cus_1", "name": "New"},
        previous={"id": "cus_1", "name": "Old"},
    )


@pytest.mark.parametrize(
    ("caused_by", "by_request", "key"),
    [
        ({"id": "req_1", "idempotency_key": "chg_1:update"}, True, "chg_1:update"),
        ({"id": "req_1", "idempotency_key": None}, True, None),
        ({"id": "req_1", "idempotency_key": "chg_\ud83d"}, True, None),
        ({"id": "req_1", "idempotency_key": "chg_\0"}, True, None),
        ({"id": "req_1", "idempotency_key": 1}, True, None),
        ({"id": None, "idempotency_key": None}, False, None),
        (None, False, None),
        ("req_1", True, None),
    ],
)
def test_an_event_names_the_request_that_caused_it(caused_by: Any, *, by_request: bool, key: str | None) -> None:
    event = Event.from_json(EVENT | {"request": caused_by})
    assert (event.by_request, event.request_key) == (by_request, key)


@pytest.mark.parametrize("data", [{"object": {}}, {"object": {}, "previous_attributes": None}])
def test_an_event_without_changes_has_no_previous_state(data: dict[str, Any]) -> None:
    assert Event.from_json(EVENT | {"data": data}).previous is None


def test_only_a_created_event_is_first() -> None:
    assert Event.from_json(EVENT | {"type": "customer.subscription.created"}).is_first
    assert not Event.from_json(EVENT | {"type": "invoice.paid"}).is_first
    assert not Event.from_json(EVENT | {"type": "customer.created.again"}).is_first


@pytest.mark.parametrize("name", ["id", "type", "created", "data"])
def test_an_event_that_lacks_a_field_is_unreadable(name: str) -> None:
    with pytest.raises(UnreadableObject):
        Event.from_json({key: value for key, value in EVENT.items() if key != name})


def test_an_event_without_a_version_has_version_none() -> None:
    assert Event.from_json({key: value for key, value in EVENT.items() if key != "api_version"}).api_version is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"data": None},
        {"data": []},
        {"data": "x"},
        {"data": {}},
        {"data": {"object": None, "previous_attributes": {"a": 1}}},
        {"data": {"object": []}},
        {"data": {"object": None}},
        {"created": "yesterday"},
        {"created": []},
    ],
)
def test_an_event_of_another_shape_is_unreadable(wrong: dict[str, Any]) -> None:
    with pytest.raises(UnreadableObject):
        Event.from_json(EVENT | wrong)


@pytest.mark.parametrize("odd", ["a", ["a"], 1, True])
def test_an_unreadable_previous_state_is_marked_as_unreadable(odd: Any) -> None:
    event = Event.from_json(EVENT | {"data": {"object": {"id": "cus_1"}, "previous_attributes": odd}})
    assert (event.previous, event.odd_previous) == (None, True)
    assert not Event.from_json(EVENT).odd_previous


@pytest.mark.parametrize("event", [[], "event", 5, None])
def test_json_that_is_not_an_object_is_unreadable(event: Any) -> None:
    with pytest.raises(UnreadableObject):
        Event.from_json(event)


@pytest.mark.parametrize(
    ("after", "changed", "expected"),
    [
        pytest.param({"a": 1, "b": 2}, {"a": 0}, {"a": 0, "b": 2}, id="a field"),
        pytest.param({"a": 1}, {"a": None}, {"a": None}, id="a field that was null"),
        pytest.param(
            {"metadata": {"kept": "1", "added": "2"}},
            {"metadata": {"added": None}},
            {"metadata": {"kept": "1", "added": None}},
            id="an added metadata key was null",
        ),
        pytest.param(
            {"metadata": {"kept": "1"}},
            {"metadata": {"removed": "2"}},
            {"metadata": {"kept": "1", "removed": "2"}},
            id="a removed metadata key comes back",
        ),
        pytest.param(
            {"a": {"b": {"c": 1, "d": 2}, "e": 3}},
            {"a": {"b": {"c": 0}}},
            {"a": {"b": {"c": 0, "d": 2}, "e": 3}},
            id="nested objects",
        ),
        pytest.param({"a": [1, 2, 3]}, {"a": [1]}, {"a": [1]}, id="an array is replaced as a whole"),
        pytest.param({"a": [{"b": 1}]}, {"a": [{"c": 0}]}, {"a": [{"c": 0}]}, id="an array of objects too"),
        pytest.param(
            {"items": {"object": "list", "data": [{"id": "si_1"}], "total_count": 1}},
            {"items": {"data": []}},
            {"items": {"object": "list", "data": [], "total_count": 1}},
            id="a list object's data",
        ),
        pytest.param({"a": {"b": 1}}, {"a": None}, {"a": None}, id="an object was null"),
        pytest.param({"a": None}, {"a": {"b": 1}}, {"a": {"b": 1}}, id="a null was an object"),
        pytest.param({"a": "pm_1"}, {"a": {"id": "pm_0"}}, {"a": {"id": "pm_0"}}, id="text was an object"),
        pytest.param({}, {"gone": 1}, {"gone": 1}, id="a removed field"),
        pytest.param({"a": 1}, {}, {"a": 1}, id="nothing changed"),
    ],
)
def test_the_previous_state_is_rebuilt(after: Any, changed: Any, expected: Any) -> None:
    kept = copy.deepcopy((after, changed))
    assert before(after, changed) == expected
    assert (after, changed) == kept, "the payload itself must stay as it was"


VALUES = st.recursive(
    st.none() | st.integers(0, 3) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.sampled_from("abcd"), VALUES, max_size=4)


def without_nulls(value: Any) -> Any:
    """Return ``value`` without null members. An event does not distinguish a null member from a missing one."""
    if not isinstance(value, dict):
        return value
    return {name: without_nulls(each) for name, each in value.items() if each is not None}


@given(old=OBJECTS, new=OBJECTS)
def test_previous_attributes_restore_the_previous_state(old: Any, new: Any) -> None:
    assert without_nulls(before(new, previous_attributes(old, new))) == without_nulls(old)


def test_times_are_whole_seconds_in_utc() -> None:
    assert from_unix(1_793_491_200) == datetime(2026, 11, 1, tzinfo=UTC)
    assert from_unix(0) == datetime(1970, 1, 1, tzinfo=UTC)
    assert from_unix_or_none(None) is None
    assert from_unix_or_none(0) == from_unix(0)
    assert to_unix(datetime(2026, 11, 1, 0, 0, 0, 999_999, tzinfo=UTC)) == 1_793_491_200


@pytest.mark.parametrize(
    "changes",
    [
        {"created": 10**12},
        {"created": 10**30},
        {"created": None},
        {"data": {"object": "ab", "previous_attributes": {"a": 1}}},
    ],
)
def test_an_event_with_an_invalid_field_is_unreadable(changes: dict[str, Any]) -> None:
    event = {"id": "evt_1", "type": "customer.updated", "created": 1, "data": {"object": {"id": "cus_1"}}}
    with pytest.raises(UnreadableObject):
        Event.from_json(event | changes)
