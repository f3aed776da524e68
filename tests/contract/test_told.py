"""Events have types that the pinned SDK knows, and their objects and fields fit the SDK's classes."""

from typing import Any, get_args, get_type_hints

import pytest
import stripe
from stripe._object_classes import get_object_class

from gateway.sandbox.events import TYPES
from tests.contract.stage import ScenarioHistory
from tests.support.json_types import Json
from tests.support.shapes import differences, former_differences

ENVELOPE = {
    "id", "object", "api_version", "created", "data", "livemode", "pending_webhooks", "request", "type",
}  # fmt: skip
"""The event's fields, as recorded from Stripe's API (2026-08-26.dahlia)."""

NO_INVOICE_YET = "invoice.upcoming.id: missing, and the SDK says it never is"
"""Stripe documents that this event's invoice has no id (https://docs.stripe.com/api/events/types)."""


def class_of(obj: Json) -> Any:
    found = get_object_class("V1", obj["object"])
    assert found is not stripe.StripeObject, f"the SDK has no class for {obj['object']}"
    return found


def test_every_object_in_an_event_fits_its_class(history: ScenarioHistory) -> None:
    assert history.events
    problems = {
        problem
        for story, event in history.events
        for problem in differences(event["data"]["object"], class_of(event["data"]["object"]), label(story, event))
        if not problem.endswith(NO_INVOICE_YET)
    }
    assert sorted(problems) == []


def test_previous_attributes_are_fields_of_their_object(history: ScenarioHistory) -> None:
    updates = [(story, event) for story, event in history.events if "previous_attributes" in event["data"]]
    assert updates
    problems = {
        problem
        for story, event in updates
        for problem in former_differences(
            event["data"]["previous_attributes"], class_of(event["data"]["object"]), label(story, event)
        )
    }
    assert sorted(problems) == []


def label(story: str, event: Json) -> str:
    return f"{story}: {event['type']}"


def test_events_have_the_recorded_envelope_and_a_type_of_the_sdk(history: ScenarioHistory) -> None:
    types = get_args(get_type_hints(stripe.Event)["type"])
    for _story, event in history.events:
        assert event.keys() == ENVELOPE
        assert event["type"] in types
    assert set(types) == TYPES


def test_events_cover_the_main_statuses(history: ScenarioHistory) -> None:
    seen: dict[str, set[str]] = {}
    for _story, event in history.events:
        obj = event["data"]["object"]
        seen.setdefault(obj["object"], set()).add(str(obj.get("status")))
    assert {"active", "canceled", "incomplete", "past_due"} <= seen["subscription"]
    assert {"draft", "open", "paid", "void"} <= seen["invoice"]


@pytest.mark.parametrize(
    ("previous", "problem"),
    [
        ({"nope": 1}, ".nope: unknown to the SDK"),
        ({"items": {"nope": []}}, ".items.nope: unknown to the SDK"),
        ({"items": {"data": [{"id": "si_1"}]}}, ".items.data[0].created: missing"),
        ({"status": 3}, ".status: 3 is none of"),
    ],
)
def test_comparison_finds_differences(previous: Json, problem: str) -> None:
    assert any(found.startswith(problem) for found in former_differences(previous, stripe.Subscription))
