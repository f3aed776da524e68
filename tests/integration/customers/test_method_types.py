"""Every type of payment method is a way to pay, and is shown with its type and label."""

import json
import time
import uuid

import pytest

from tests.support.api import ApiClient
from tests.support.json_types import Json
from tests.support.payment_methods import (
    attach,
    charge_now,
    customer_of,
    default_in_list,
    name_on_subscription,
    shown,
)
from tests.support.stripe_events import deliver
from tests.support.world import World

SEPA: Json = {"bank_code": "37040044", "branch_code": "", "country": "DE", "fingerprint": "x", "last4": "3000"}
US_BANK: Json = {"account_holder_type": "company", "bank_name": "STRIPE TEST BANK", "last4": "6789"}
LINK: Json = {"email": "jenny@example.com", "persistent_token": None}


@pytest.fixture
def api(cardless: ApiClient) -> ApiClient:
    """Return a client for an organization on Free without a payment method."""
    return cardless


def deliver_object(
    world: World, kind: str, stripe_object: Json, previous: Json | None = None, *, later: int = 0
) -> None:
    """Deliver an event that shows the object ``later`` seconds from now, and process it."""
    data = {"object": stripe_object} | ({} if previous is None else {"previous_attributes": previous})
    body = {
        "id": f"evt_{uuid.uuid4().hex}",
        "object": "event",
        "type": kind,
        "created": int(time.time()) + later,
        "api_version": "2026-10-28.endive",
        "livemode": False,
        "data": data,
    }
    assert deliver(world, json.dumps(body)).status_code == 200
    world.work()


def deliver_method(world: World, kind: str, details: Json) -> str:
    """Deliver the events that put a payment method of any type on file and make it the default."""
    customer = world.stripe.v1.customers.retrieve(customer_of(world)).to_dict(for_json=True)
    method: Json = {
        "id": f"pm_{uuid.uuid4().hex}",
        "object": "payment_method",
        "type": kind,
        kind: details,
        "customer": customer["id"],
    }
    deliver_object(world, "payment_method.attached", method)
    settings = customer["invoice_settings"]
    customer["invoice_settings"] = settings | {"default_payment_method": method["id"]}
    deliver_object(world, "customer.updated", customer, {"invoice_settings": settings})
    found: str = method["id"]
    return found


@pytest.mark.parametrize(
    ("kind", "details", "label", "last4"),
    [
        ("sepa_debit", SEPA, "SEPA Direct Debit •••• 3000", "3000"),
        ("us_bank_account", US_BANK, "STRIPE TEST BANK •••• 6789", "6789"),
        ("link", LINK, "Link jenny@example.com", None),
        ("revolut_pay", {}, "Revolut pay", None),
    ],
)
def test_default_of_any_type_is_shown(
    world: World, api: ApiClient, kind: str, details: Json, label: str, last4: str | None
) -> None:
    method = deliver_method(world, kind, details)
    assert shown(api) == {
        "id": method,
        "type": kind,
        "label": label,
        "brand": None,
        "last4": last4,
        "exp_month": None,
        "exp_year": None,
    }


@pytest.mark.parametrize("token", ["pm_sepaDebit", "pm_usBankAccount"])
def test_bank_debit_is_listed_and_pays_for_the_plan(world: World, api: ApiClient, token: str) -> None:
    debit = attach(world, token)
    api.ok("PUT", "/payment-methods/default", payment_method=debit)
    assert default_in_list(api) == [debit]
    assert api.ok("PATCH", "/subscription", plan="plus")["state"] == "applied"
    assert shown(api)["id"] == debit


def test_link_is_listed_and_pays_for_the_plan(world: World, api: ApiClient) -> None:
    v1 = world.stripe.v1
    link = v1.payment_methods.create({"type": "link", "billing_details": {"email": "jenny@example.com"}}).id
    v1.payment_methods.attach(link, {"customer": customer_of(world)})
    api.ok("PUT", "/payment-methods/default", payment_method=link)
    assert [each["type"] for each in api.ok("GET", "/payment-methods")["data"]] == ["link"]
    assert api.ok("PATCH", "/subscription", plan="plus")["state"] == "applied"
    assert charge_now(world, 2) == link


def test_bank_debit_that_is_added_in_the_browser_arrives(world: World, api: ApiClient) -> None:
    debit = api.add_card(world.stripe, "pm_usBankAccount")
    assert shown(api)["type"] == "us_bank_account"
    assert shown(api)["id"] == debit


@pytest.mark.parametrize("kind", ["payment_method.automatically_updated", "payment_method.updated"])
def test_card_that_the_bank_replaced_shows_its_new_number(world: World, api: ApiClient, kind: str) -> None:
    own = attach(world)
    name_on_subscription(world, own)
    renewed = world.stripe.v1.payment_methods.retrieve(own).to_dict(for_json=True)
    renewed["card"] |= {"last4": "1881", "exp_month": 5, "exp_year": 2041}
    deliver_object(world, kind, renewed, {"card": {"last4": "4242"}}, later=1)
    found = shown(api)
    assert (found["label"], found["exp_month"], found["exp_year"]) == ("Visa •••• 1881", 5, 2041)
