"""Every route exists in the pinned SDK, with the parameters that the SDK's TypedDicts declare."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, get_args, get_origin, get_type_hints

import pytest
import requests
import stripe
from typing_extensions import is_typeddict

from gateway.sandbox import Sandbox
from gateway.sandbox.resources import ROUTES
from gateway.sandbox.routing import Route
from tests.contract.sdk import call, operations

NAMES = [f"{route.method} {route.path}" for route in ROUTES]
FOR_TYPE_CHECKERS = {"Mapping": Mapping, "StripeContext": object}
"""The names that the SDK imports for type checkers only."""
BY_STRIPE_JS = {
    ("POST", "/v1/payment_intents/{intent}/confirm"): {"client_secret"},
    ("POST", "/v1/setup_intents/{intent}/confirm"): {"client_secret"},
}
"""Parameters that the browser sends. The SDK does not declare them because it is made for servers."""
every_route = pytest.mark.parametrize("route", ROUTES, ids=NAMES)


@every_route
def test_route_has_the_sdks_parameters(route: Route) -> None:
    assert operations()[call(route.method, route.path)].params is route.shape


@every_route
def test_every_implemented_parameter_is_in_the_sdk(route: Route) -> None:
    besides = BY_STRIPE_JS.get((route.method, route.path), set())
    assert {name for name in route.built if not declared(name, route.shape)} == besides


def declared(name: str, shape: Any) -> bool:
    """Return whether ``items[price]`` is a parameter of the TypedDict. The SDK's request options do not count."""
    first, *rest = re.findall(r"[^\[\]]+", name)
    if first in get_type_hints(stripe.RequestOptions, localns=FOR_TYPE_CHECKERS):
        return False
    shapes = [shape]
    for key in (first, *rest):
        hints = [get_type_hints(found, localns=FOR_TYPE_CHECKERS).get(key) for found in shapes]
        shapes = [nested for hint in hints for nested in typed_dicts(hint)]
        if not any(hints):
            return False
    return True


def typed_dicts(hint: Any) -> list[Any]:
    """Return all TypedDicts in an annotation."""
    if is_typeddict(hint):
        return [hint]
    return [found for part in get_args(hint) for found in typed_dicts(part)] if get_origin(hint) else []


@pytest.fixture(scope="module")
def untouched() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


@every_route
def test_unknown_parameter_is_refused_by_name(untouched: Sandbox, route: Route) -> None:
    path = re.sub(r"{\w+}", "x", route.path)
    answer = requests.request(
        route.method, untouched.url + path, auth=("sk_test_x", ""), params={"no_such_thing": "1"}, timeout=5
    )
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["code"], error["param"]) == ("parameter_unknown", "no_such_thing")


def test_every_route_is_unique() -> None:
    assert len(set(NAMES)) == len(ROUTES)


@pytest.mark.parametrize(("name", "known"), [("items[price]", True), ("items[nope]", False), ("api_key", False)])
def test_parameter_lookup_finds_unknown_names(*, name: str, known: bool) -> None:
    assert declared(name, stripe.params.SubscriptionCreateParams) is known
