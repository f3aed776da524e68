"""The interface answers bad input with a clear problem and a stable code, and changes nothing."""

from typing import Any

import pytest

from gateway.db.models import OrganizationPlan, PlanChange
from tests.support.api import ApiClient, problem_of
from tests.support.payment_methods import customer_of
from tests.support.world import World

ROUTES = [
    ("GET", "/plans"),
    ("GET", "/subscription"),
    ("POST", "/subscription"),
    ("PATCH", "/subscription"),
    ("DELETE", "/subscription"),
    ("POST", "/subscription/preview"),
    ("GET", "/subscription/changes"),
    ("GET", "/subscription/changes/chg_1"),
    ("GET", "/subscription/history"),
    ("GET", "/billing-details"),
    ("PUT", "/billing-details"),
    ("POST", "/billing-details/setup-intent"),
    ("POST", "/billing-portal"),
    ("GET", "/invoices"),
    ("GET", "/invoices/in_1"),
    ("POST", "/invoices/in_1/pay"),
    ("POST", "/sales-inquiries"),
    ("GET", "/payment-methods"),
    ("PUT", "/payment-methods/default"),
    ("DELETE", "/payment-methods/pm_1"),
]
WRITES = [(method, path) for method, path in ROUTES if method != "GET" and not path.endswith("/preview")]


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_without_a_token_every_route_is_401(world: World, method: str, path: str) -> None:
    answer = world.client.open(f"/v1{path}", method=method, json={} if method in {"POST", "PATCH", "PUT"} else None)
    assert problem_of(answer) == (401, "unauthorized")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(("method", "path"), WRITES)
def test_read_only_token_changes_nothing(world: World, method: str, path: str) -> None:
    api = world.api(scopes=("billing:read",))
    assert api.problem(method, path, plan="free") == (403, "forbidden")


@pytest.mark.parametrize(
    "body",
    [
        {"plan": "platinum"},
        {"plan": 7},
        {"plan": None},
        {"plan": "plus\n"},
        {"plan": "plus", "colour": "red"},
        {"plan": "plus", "organization_id": "org_2"},
        {"plan": "plus", "quantity": 0},
        {"plan": "plus", "quantity": -1},
        {"plan": "plus", "quantity": "two"},
        {"plan": "plus", "quantity": 1.5},
        {"plan": "plus", "quantity": 101},
        {"plan": "plus", "quote": "not a token"},
        {"plan": "plus", "quote": "a.b.c"},
        {"plan": "plus", "payment_method": "pm_1\u0000"},
    ],
)
@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_invalid_change_is_422_and_changes_nothing(world: World, method: str, body: dict[str, Any]) -> None:
    answer = world.client.open(
        "/v1/subscription", method=method, json=body, headers={"Authorization": f"Bearer {world.token()}"}
    )
    assert problem_of(answer) == (422, "invalid_request")
    assert answer.get_json()["errors"]
    assert world.rows(PlanChange) == []
    assert world.rows(OrganizationPlan) == []
    assert world.stripe.v1.customers.list().data == []


BAD_JSON = [
    *(b"{", b"", b"[]", b'"plus"', b"\xff", b'{"plan": "plus"', b"null", b'{"plan": NaN}', b'{"plan": "\\ud800"}'),
    *(b"[" * 30_000, b'{"plan":' * 6_000, b'{"quantity": ' + b"1" * 5_000 + b"}"),
]


@pytest.mark.parametrize("body", BAD_JSON, ids=range(len(BAD_JSON)))
def test_bad_json_is_a_problem_and_not_a_traceback(world: World, body: bytes) -> None:
    headers = {"Authorization": f"Bearer {world.token()}", "Content-Type": "application/json"}
    status, code = problem_of(world.client.patch("/v1/subscription", data=body, headers=headers))
    assert (status, code) in {(400, "invalid_json"), (422, "invalid_request")}


def test_another_media_type_is_415(world: World) -> None:
    headers = {"Authorization": f"Bearer {world.token()}", "Content-Type": "text/plain"}
    answer = world.client.patch("/v1/subscription", data=b'{"plan": "plus"}', headers=headers)
    assert problem_of(answer) == (415, "unsupported_media_type")


def test_a_body_too_large_is_413(world: World) -> None:
    headers = {"Authorization": f"Bearer {world.token()}", "Content-Type": "application/json"}
    answer = world.client.patch("/v1/subscription", data=b"x" * 100_000, headers=headers)
    assert problem_of(answer) == (413, "payload_too_large")


def test_unknown_path_and_wrong_method_are_problems(world: World) -> None:
    assert problem_of(world.client.get("/v1/nothing")) == (404, "not_found")
    assert problem_of(world.client.put("/v1/subscription", json={})) == (405, "method_not_allowed")


def test_plans_show_what_the_organization_may_do(world: World) -> None:
    api = world.api()
    actions = {plan["key"]: plan["action"] for plan in api.ok("GET", "/plans")["data"]}
    assert actions == {"free": "current", "plus": "upgrade", "enterprise": "contact_sales"}
    prices = {plan["key"]: plan["price"] for plan in api.ok("GET", "/plans")["data"]}
    [sold] = world.stripe.v1.prices.list({"lookup_keys": ["konnect_plus_usd_month"]}).data
    terms = {
        "unit_amount": 25000,
        "unit_amount_decimal": None,
        "currency": "usd",
        "interval": "month",
        "interval_count": 1,
    }
    assert prices["plus"] == {"id": sold.id, **terms}
    assert prices["enterprise"] is None


def test_an_upgrade_without_a_card_is_402_and_changes_nothing(world: World) -> None:
    api = world.api()
    api.ok("POST", "/subscription", plan="free")
    assert api.problem("PATCH", "/subscription", plan="plus") == (402, "payment_method_required")
    assert api.ok("GET", "/subscription")["plan"] == "free"
    assert len(world.rows(PlanChange)) == 1


def test_enterprise_is_409_and_reaches_neither_stripe_nor_tables(world: World) -> None:
    api = world.api()
    for method in ("POST", "PATCH"):
        assert api.problem(method, "/subscription", plan="enterprise") == (409, "contact_sales_required")
    assert world.stripe.v1.customers.list().data == []
    assert world.rows(PlanChange) == []


def test_closed_account_is_referred_to_sales_by_every_plan_route(world: World, api: ApiClient) -> None:
    world.stripe.v1.customers.delete(customer_of(world))
    world.settle()
    details = api.ok("GET", "/subscription")
    assert (details["managed_by_sales"], details["actions"]) == (True, ["contact_sales"])
    assert {plan["action"] for plan in api.ok("GET", "/plans")["data"]} == {"contact_sales"}
    for body in ({"plan": "plus"}, {"plan": "free"}, {"plan": "enterprise"}, {"quantity": 2}):
        assert api.problem("POST", "/subscription/preview", **body) == (409, "contact_sales_required")
        assert api.problem("PATCH", "/subscription", **body) == (409, "contact_sales_required")


def test_closed_account_is_referred_to_sales_before_validation(world: World, api: ApiClient) -> None:
    [card] = api.ok("GET", "/payment-methods")["data"]
    world.stripe.v1.customers.delete(customer_of(world))
    world.settle()
    for body in ({"plan": "plus", "quantity": 101}, {"plan": "nothing"}):
        answer = api.problem("POST", "/subscription", payment_method=card["id"], **body)
        assert answer == (409, "contact_sales_required")


def test_change_to_the_present_plan_is_409(world: World) -> None:
    api = world.api()
    api.ok("POST", "/subscription", plan="free")
    assert api.problem("PATCH", "/subscription", plan="free") == (409, "no_change")
    assert api.problem("DELETE", "/subscription") == (409, "no_change")


def test_preview_needs_enrolment_but_no_card(world: World) -> None:
    api = world.api()
    assert api.problem("POST", "/subscription/preview", plan="plus") == (409, "not_enrolled")
    api.ok("POST", "/subscription", plan="free")
    assert api.ok("POST", "/subscription/preview", plan="plus")["amount_due_now"] == 0


def test_another_organizations_objects_are_404(world: World) -> None:
    mine, theirs = world.api("org_1"), world.api("org_2")
    change = theirs.ok("POST", "/subscription", plan="free")
    card = theirs.add_card(world.stripe)
    mine.ok("POST", "/subscription", plan="free")
    assert mine.problem("GET", f"/subscription/changes/{change['id']}") == (404, "not_found")
    assert mine.problem("PUT", "/payment-methods/default", payment_method=card) == (404, "not_found")
    assert mine.problem("DELETE", f"/payment-methods/{card}") == (404, "not_found")
    assert mine.problem("PATCH", "/subscription", plan="plus") == (402, "payment_method_required")
    assert mine.ok("GET", "/payment-methods")["data"] == []
    assert [each["id"] for each in theirs.ok("GET", "/payment-methods")["data"]] == [card]


def test_default_card_of_a_paid_plan_cannot_be_deleted(world: World) -> None:
    api = world.api()
    first = api.add_card(world.stripe)
    second = api.add_card(world.stripe, "pm_card_mastercard")
    cards = {each["id"]: (each["brand"], each["is_default"]) for each in api.ok("GET", "/payment-methods")["data"]}
    assert cards == {first: ("visa", False), second: ("mastercard", True)}
    api.ok("POST", "/subscription", plan="plus")
    assert api.problem("DELETE", f"/payment-methods/{second}") == (409, "default_payment_method")
    assert api("DELETE", f"/payment-methods/{first}").status_code == 204
    assert [each["id"] for each in api.ok("GET", "/payment-methods")["data"]] == [second]


def test_plan_details_show_card_invoice_and_utc_times(world: World) -> None:
    api = world.api()
    api.ok("POST", "/subscription", plan="free")
    api.add_card(world.stripe)
    api.ok("PATCH", "/subscription", plan="plus", quantity=2)
    world.settle()
    answer = api("GET", "/subscription")
    details = answer.get_json()
    again = {"Authorization": f"Bearer {world.token()}", "If-None-Match": answer.headers["ETag"]}
    assert world.client.get("/v1/subscription", headers=again).status_code == 304
    assert (details["plan"], details["plan_name"], details["quantity"], details["standing"]) == (
        "plus",
        "Plus",
        2,
        "good",
    )
    assert details["payment_method"]["last4"] == "4242"
    assert (details["latest_invoice"]["status"], details["latest_invoice"]["total"]) == ("paid", 0)
    assert details["billing_date"] == details["current_period"]["end"]
    assert details["billing_date"].endswith("Z")
    assert details["actions"] == ["change_quantity", "change_plan", "cancel_plan", "contact_sales"]


@pytest.mark.parametrize("path", ["/subscription/changes/%00", "/subscription/changes/chg_%0A", "/nothing%00"])
def test_an_odd_path_is_404(world: World, path: str) -> None:
    assert world.api().problem("GET", path) == (404, "not_found")


def test_an_odd_card_id_is_404(world: World) -> None:
    world.api().ok("POST", "/billing-details/setup-intent")
    assert world.api().problem("DELETE", "/payment-methods/%00") == (404, "not_found")


def test_the_interface_describes_itself(world: World) -> None:
    document = world.client.get("/v1/openapi.json").get_json()
    assert set(document["paths"]) >= {"/v1/subscription", "/v1/subscription/preview", "/v1/plans"}
    assert "requestBody" in document["paths"]["/v1/subscription"]["patch"]
    assert "requestBody" not in document["paths"]["/v1/subscription"]["get"]
