"""A customer was deleted at Stripe without a webhook. The next request notices it and refers the caller to sales."""

import re

import pytest

from gateway.db.models import Organization, PlanChange
from gateway.sandbox import Sandbox
from tests.support.api import ApiClient, problem_of
from tests.support.faults import before_each_request
from tests.support.json_types import Json
from tests.support.payment_methods import customer_of
from tests.support.world import World

CLOSED = (409, "contact_sales_required")
CARD = "its_card"  # stands for the organization's card
REQUESTS: dict[str, tuple[str, str, Json]] = {
    "set up": ("POST", "/billing-details/setup-intent", {}),
    "portal": ("POST", "/billing-portal", {"return_url": "https://konnect.example"}),
    "list": ("GET", "/payment-methods", {}),
    "choose": ("PUT", "/payment-methods/default", {"payment_method": CARD}),
    "preview": ("POST", "/subscription/preview", {"plan": "plus", "quantity": 3}),
    "change": ("PATCH", "/subscription", {"plan": "plus", "quantity": 3}),
    "delete": ("DELETE", f"/payment-methods/{CARD}", {}),
    "details": ("GET", "/billing-details", {}),
}


def delete(world: World) -> None:
    """Delete the customer at Stripe and drop the webhooks."""
    world.fault("webhook_dropped", times=1000)
    world.stripe.v1.customers.delete(customer_of(world))


def find_problem(world: World, api: ApiClient, name: str) -> tuple[int, str] | None:
    """Send the named request and return its problem, or None. The problem must not quote Stripe's wording."""
    method, path, body = REQUESTS[name]
    card = world.rows(Organization)[0].default_payment_method_id or ""
    own = {key: card if value == CARD else value for key, value in body.items()}
    answer = api(method, path.replace(CARD, card), **own)
    if answer.status_code < 400:
        return None
    assert not [word for word in ("cus_", "No such", "upcoming") if word in answer.get_data(as_text=True)]
    return problem_of(answer)


@pytest.mark.parametrize("name", REQUESTS)
def test_request_after_a_deletion_is_referred_to_sales(world: World, api: ApiClient, name: str) -> None:
    delete(world)
    assert find_problem(world, api, name) == CLOSED
    assert world.rows(Organization)[0].deleted
    assert api.ok("GET", "/subscription")["actions"] == ["contact_sales"]


def test_known_deletion_blocks_sales_and_empties_the_details(world: World, api: ApiClient) -> None:
    world.stripe.v1.customers.delete(customer_of(world))
    world.settle()
    assert [find_problem(world, api, name) for name in ("set up", "preview", "change")] == [CLOSED] * 3
    assert [find_problem(world, api, name) for name in ("list", "details")] == [None] * 2


@pytest.mark.parametrize("name", REQUESTS)
def test_request_after_a_deletion_on_plus_is_referred_to_sales(world: World, api: ApiClient, name: str) -> None:
    api.ok("PATCH", "/subscription", plan="plus", quantity=2)
    world.settle()
    delete(world)
    assert find_problem(world, api, name) == CLOSED
    assert world.plan_row().plan == "free"


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("choose", r"POST /v1/customers/\w+"),
        ("delete", r"POST /v1/payment_methods/\w+/detach"),
        ("delete", r"GET /v1/customers/\w+"),
    ],
)
def test_deletion_between_two_calls_is_noticed(
    world: World, api: ApiClient, sandbox: Sandbox, name: str, call: str
) -> None:
    def act(request: str) -> None:
        if re.fullmatch(call, request) and not world.faults():
            delete(world)

    before_each_request(sandbox, act)
    assert find_problem(world, api, name) == CLOSED
    assert world.rows(Organization)[0].deleted


def test_change_refused_for_the_deletion_fails_with_its_code(world: World, api: ApiClient) -> None:
    delete(world)
    assert find_problem(world, api, "change") == CLOSED
    [_, change] = sorted(world.rows(PlanChange), key=lambda row: row.created_at)
    assert (change.state, (change.error or {})["code"]) == ("failed", "contact_sales_required")


def test_enrolment_of_a_deleted_customer_is_refused(world: World) -> None:
    api = world.api()
    api.ok("POST", "/billing-details/setup-intent")
    delete(world)
    assert api.problem("POST", "/subscription", plan="free") == CLOSED
    assert world.rows(Organization)[0].deleted


@pytest.mark.parametrize("name", ["set up", "list", "choose", "preview", "change"])
def test_accepted_request_does_not_retrieve_the_customer(
    world: World, api: ApiClient, sandbox: Sandbox, name: str
) -> None:
    made: list[str] = []
    before_each_request(sandbox, made.append)
    assert find_problem(world, api, name) is None
    assert made
    assert f"GET /v1/customers/{customer_of(world)}" not in made


def test_refusal_for_another_reason_keeps_its_own_problem(world: World, api: ApiClient) -> None:
    assert api.problem("PUT", "/payment-methods/default", payment_method="pm_never") == (404, "not_found")
    assert not world.rows(Organization)[0].deleted
