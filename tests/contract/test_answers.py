"""The sandbox's responses in the scenario fit the classes that the pinned SDK declares for them."""

from typing import Any

import pytest
import stripe

from gateway.sandbox.resources import ROUTES
from gateway.sandbox.routing import Route
from tests.contract.sdk import call, operations
from tests.contract.stage import RecordedExchange, ScenarioHistory, route_of
from tests.support.json_types import Json
from tests.support.shapes import differences


def served(history: ScenarioHistory) -> dict[tuple[str, str], list[RecordedExchange]]:
    """Return the successful exchanges by route."""
    found: dict[tuple[str, str], list[RecordedExchange]] = {}
    for exchange in history.exchanges:
        route = route_of(exchange)
        if route and exchange.status == 200:
            found.setdefault((route.method, route.path), []).append(exchange)
    return found


@pytest.mark.parametrize("route", ROUTES, ids=[f"{route.method} {route.path}" for route in ROUTES])
def test_every_route_has_a_story_and_its_responses_fit_the_sdk(history: ScenarioHistory, route: Route) -> None:
    exchanges = served(history).get((route.method, route.path), [])
    assert exchanges, "tests/contract/scenario has no story in which this route succeeds"
    kind = operations()[call(route.method, route.path)].answer
    problems = {problem for exchange in exchanges for problem in differences(exchange.answer, kind, str(exchange))}
    assert sorted(problems) == []


def test_every_refusal_fits_the_sdks_error_class(history: ScenarioHistory) -> None:
    # The SDK has no class for the errors of v2, which have a code and a message only.
    of_v1 = [exchange for exchange in history.exchanges if exchange.path.startswith("/v1/")]
    refused = [exchange for exchange in of_v1 if exchange.status != 200]
    assert refused
    assert [
        problem
        for exchange in refused
        for problem in differences(exchange.answer["error"], stripe.ErrorObject, str(exchange))
    ] == []


def test_no_list_route_returns_only_empty_lists(history: ScenarioHistory) -> None:
    empty = {
        path
        for (method, path), exchanges in served(history).items()
        if method == "GET" and all(exchange.answer.get("data") == [] for exchange in exchanges)
    }
    assert empty == set()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"current_period_end": 1}, ".current_period_end: unknown to the SDK"),
        ({"status": "fine"}, ".status: 'fine' is none of"),
        ({"created": "today"}, ".created: 'today' is no <class 'int'>"),
        ({"customer": None}, ".customer: null, and the SDK says it never is"),
        ({"object": "invoice"}, ": object 'invoice', and the SDK expects 'subscription'"),
        ({"deleted": True}, "is no stub of a deleted"),
    ],
)
def test_comparison_finds_differences(history: ScenarioHistory, change: Json, problem: str) -> None:
    subscription = served(history)["POST", "/v1/subscriptions"][0].answer
    kind: Any = stripe.Customer if "deleted" in change else stripe.Subscription
    assert any(problem in found for found in differences(subscription | change, kind))
