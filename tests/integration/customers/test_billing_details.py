"""Stripe stores the billing details. The gateway validates them and explains what Stripe refuses."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from gateway.app import build_gateway, create_app
from gateway.db.models import Organization
from gateway.endpoints.request_context import EXTENSION
from tests.support.api import ApiClient, problem_of
from tests.support.json_types import Json
from tests.support.world import NOWHERE, World

ADDRESS = {
    "line1": "Hauptstr. 1",
    "line2": None,
    "city": "Berlin",
    "state": None,
    "postal_code": "10115",
    "country": "DE",
}
VAT = {"type": "eu_vat", "value": "DE123456789"}
EIN = {"type": "us_ein", "value": "12-3456789"}
DETAILS: Json = {"name": "Ada GmbH", "email": "billing@ada.example", "address": ADDRESS, "tax_ids": [VAT]}


def tax_ids(details: Json) -> list[tuple[str, str]]:
    return sorted((each["type"], each["value"]) for each in details["tax_ids"])


def count_customers(world: World) -> int:
    """Return how many customers Stripe has. There are none until a call has created one."""
    return len(world.stripe.v1.customers.list().data)


def test_details_are_empty_at_first_and_reading_creates_nothing(world: World) -> None:
    details = world.api().ok("GET", "/billing-details")
    assert details == {"name": None, "email": None, "address": None, "tax_ids": []}
    assert count_customers(world) == 0


def test_billing_details_are_stored_at_stripe(world: World) -> None:
    api = world.api()
    put = api.ok("PUT", "/billing-details", **DETAILS)
    assert put == api.ok("GET", "/billing-details")
    assert {**put, "tax_ids": [{**VAT}]} == DETAILS
    assert put["tax_ids"] == [{**VAT, "verification": "pending"}]
    [customer] = world.stripe.v1.customers.list().data
    assert (customer.name, customer.email) == ("Ada GmbH", "billing@ada.example")
    [organization] = world.rows(Organization)
    assert (organization.name, organization.email) == ("Ada GmbH", "billing@ada.example")


def test_put_replaces_all_billing_details(world: World) -> None:
    api = world.api()
    api.ok("PUT", "/billing-details", **DETAILS)
    api.ok("PUT", "/billing-details", name="Ada", email="a@ada.example", address=None, tax_ids=[EIN, VAT])
    details = api.ok("GET", "/billing-details")
    assert (details["name"], details["email"], details["address"]) == ("Ada", "a@ada.example", None)
    assert tax_ids(details) == [("eu_vat", "DE123456789"), ("us_ein", "12-3456789")]
    assert tax_ids(api.ok("PUT", "/billing-details", **DETAILS)) == [("eu_vat", "DE123456789")]
    assert tax_ids(api.ok("PUT", "/billing-details", **{**DETAILS, "tax_ids": []})) == []


def test_kept_tax_id_is_not_recreated(world: World) -> None:
    api = world.api()
    api.ok("PUT", "/billing-details", **DETAILS)
    api.ok("PUT", "/billing-details", **{**DETAILS, "name": "Ada AG"})
    made = world.stripe.v1.events.list({"type": "customer.tax_id.created"}).data
    assert len(made) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": "   "},
        {"name": "x" * 257},
        {"name": "Ada\r\nBcc: all@example.test"},
        {"name": "Ada\u202egpj"},
        {"name": "Ada\u0000"},
        {"name": None},
        {"email": "ada"},
        {"email": "ada@example.test\n"},
        {"email": "Ada <ada@example.test>"},
        {"email": "a@example.test, b@example.test"},
        {"address": {**ADDRESS, "country": "XX"}},
        {"address": {**ADDRESS, "country": "de"}},
        {"address": {**ADDRESS, "country": None}},
        {"address": {**ADDRESS, "planet": "Earth"}},
        {"address": {"country": "DE"}},
        {"address": {**ADDRESS, "postal_code": "1" * 21}},
        {"tax_ids": [{"type": "EU VAT", "value": "DE123456789"}]},
        {"tax_ids": [{"type": "eu_vat"}]},
        {"tax_ids": [VAT] * 6},
        {"tax_ids": None},
        {"colour": "red"},
        {"organization_id": "org_2"},
    ],
)
def test_invalid_billing_details_are_422_and_do_not_reach_stripe(world: World, wrong: dict[str, Any]) -> None:
    answer = world.api()("PUT", "/billing-details", **{**DETAILS, **wrong})
    assert problem_of(answer) == (422, "invalid_request")
    assert set(answer.get_json()["errors"]) == set(wrong)
    assert count_customers(world) == 0


@pytest.mark.parametrize("missing", list(DETAILS))
def test_put_with_a_missing_field_is_422(world: World, missing: str) -> None:
    rest = {name: value for name, value in DETAILS.items() if name != missing}
    assert world.api().problem("PUT", "/billing-details", **rest) == (422, "invalid_request")


@pytest.mark.parametrize(
    ("tax_id", "stripe_code"),
    [({"type": "eu_vat", "value": "nonsense"}, "tax_id_invalid"), ({"type": "xx_vat", "value": "1"}, None)],
)
def test_tax_id_that_stripe_refuses_is_named_and_changes_nothing(
    world: World, tax_id: dict[str, str], stripe_code: str | None
) -> None:
    api = world.api()
    before = api.ok("PUT", "/billing-details", **DETAILS)
    answer = api("PUT", "/billing-details", **{**DETAILS, "name": "Other", "tax_ids": [{**EIN}, tax_id]})
    assert problem_of(answer) == (422, "billing_details_refused")
    assert set(answer.get_json()["errors"]) == {"tax_ids"}
    assert answer.get_json()["stripe_code"] == stripe_code
    assert api.ok("GET", "/billing-details") == before


def test_email_that_only_stripe_refuses_reverts_the_tax_ids(world: World) -> None:
    api = world.api()
    before = api.ok("PUT", "/billing-details", **DETAILS)
    answer = api("PUT", "/billing-details", **{**DETAILS, "email": '"a@b"@example.test', "tax_ids": [EIN]})
    assert problem_of(answer) == (422, "billing_details_refused")
    assert (list(answer.get_json()["errors"]), answer.get_json()["stripe_code"]) == (["email"], "email_invalid")
    assert api.ok("GET", "/billing-details") == before


def test_repeated_request_finishes_an_interrupted_exchange(world: World) -> None:
    api = world.api()
    api.ok("PUT", "/billing-details", **{**DETAILS, "tax_ids": [EIN]})
    world.fault("error_before", method="POST", path="/v1/customers/cus_*", skip=1)  # only the tax id is created
    assert api.problem("PUT", "/billing-details", **DETAILS) == (503, "stripe_unavailable")
    assert tax_ids(api.ok("GET", "/billing-details")) == [("eu_vat", "DE123456789"), ("us_ein", "12-3456789")]
    assert tax_ids(api.ok("PUT", "/billing-details", **DETAILS)) == [("eu_vat", "DE123456789")]


def test_two_organizations_see_only_their_own_details(world: World) -> None:
    mine, theirs = world.api("org_1"), world.api("org_2")
    theirs.ok("PUT", "/billing-details", **DETAILS)
    assert mine.ok("GET", "/billing-details")["name"] is None
    mine.ok("PUT", "/billing-details", **{**DETAILS, "name": "Mine"})
    assert theirs.ok("GET", "/billing-details")["name"] == "Ada GmbH"


def test_concurrent_puts_leave_one_tax_id_and_one_customer(world: World) -> None:
    token = world.token()

    def put(number: int) -> int:
        api = ApiClient(world.client.application.test_client(), token)
        return api("PUT", "/billing-details", **{**DETAILS, "name": f"Ada {number}"}).status_code

    world.api().ok("POST", "/billing-details/setup-intent")
    with ThreadPoolExecutor(6) as threads:
        assert set(threads.map(put, range(6))) == {200}
    assert tax_ids(world.api().ok("GET", "/billing-details")) == [("eu_vat", "DE123456789")]
    assert count_customers(world) == 1


def test_details_edited_at_stripe_are_shown(world: World) -> None:
    api = world.api()
    api.ok("PUT", "/billing-details", **DETAILS)
    [customer] = world.stripe.v1.customers.list().data
    world.stripe.v1.customers.update(customer.id, {"name": "Renamed by sales"})
    assert api.ok("GET", "/billing-details")["name"] == "Renamed by sales"
    world.settle()
    assert [row.name for row in world.rows(Organization)] == ["Renamed by sales"]


def test_closed_account_is_referred_to_sales(world: World) -> None:
    api = world.api()
    api.ok("PUT", "/billing-details", **DETAILS)
    [customer] = world.stripe.v1.customers.list().data
    world.stripe.v1.customers.delete(customer.id)
    for _ in range(2):  # before its webhook is processed, and again afterwards
        assert api.problem("PUT", "/billing-details", **DETAILS) == (409, "contact_sales_required")
    assert api.ok("GET", "/billing-details")["name"] is None


def test_details_without_stripe_are_503(world: World) -> None:
    world.api().ok("PUT", "/billing-details", **DETAILS)
    broken = create_app(build_gateway(replace(world.gateway.config, stripe_api_base=NOWHERE)))
    api = ApiClient(broken.test_client(), world.token())
    assert api.problem("GET", "/billing-details") == (503, "stripe_unavailable")
    assert api.problem("PUT", "/billing-details", **DETAILS) == (503, "stripe_unavailable")
    assert api.problem("GET", "/payment-methods") == (503, "stripe_unavailable")
    broken.extensions[EXTENSION].close()


def test_details_without_a_database_are_503_before_any_stripe_call(world: World) -> None:
    away = replace(world.gateway.config, database_url="postgresql://gateway@127.0.0.1:1/gateway")
    broken = create_app(build_gateway(away))
    api = ApiClient(broken.test_client(), world.token())
    assert api.problem("PUT", "/billing-details", **DETAILS) == (503, "database_unavailable")
    broken.extensions[EXTENSION].close()
    assert count_customers(world) == 0


def test_no_log_line_shows_billing_details(world: World, caplog: pytest.LogCaptureFixture) -> None:
    api = world.api()
    api.ok("PUT", "/billing-details", **DETAILS)
    api("PUT", "/billing-details", **{**DETAILS, "tax_ids": [{"type": "eu_vat", "value": "nonsense"}]})
    world.fault("error_before", method="POST", path="/v1/customers/*")
    api("PUT", "/billing-details", **DETAILS)
    logged = caplog.text
    assert "stripe_unavailable" in logged
    assert not [word for word in ("ada.example", "Hauptstr", "nonsense", "sk_test") if word in logged]
