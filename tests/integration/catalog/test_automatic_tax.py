"""Stripe computes the taxes of the subscriptions that the gateway creates or changes."""

from pathlib import Path
from typing import Any

import pytest

from gateway.db.models import PlanChange
from tests.support.api import ApiClient
from tests.support.catalogs import write_catalog
from tests.support.clock import DAY, StripeTime
from tests.support.other_terms import at_stripe
from tests.support.world import World

ADDRESS = {
    "line1": "1 Main St",
    "line2": None,
    "city": "Berlin",
    "state": None,
    "postal_code": "10115",
    "country": "DE",
}
DETAILS: dict[str, Any] = {"name": "Acme", "email": "owner@acme.example", "address": ADDRESS, "tax_ids": []}


@pytest.fixture
def catalog_file(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    file = write_catalog(tmp_path / "catalog.toml", charge="now", trial_days=30)
    behavior = getattr(request, "param", "exclusive")
    text = f'automatic_tax = true\ntax_behavior = "{behavior}"\n' + file.read_text(encoding="utf-8")
    file.write_text(text, encoding="utf-8")
    return file


@pytest.fixture
def api(world: World) -> ApiClient:
    """Return a client for an organization that is on the floor plan with a card and without an address."""
    api = world.api()
    api.ok("POST", "/subscription", plan="free")
    api.add_card(world.stripe)
    world.settle()
    return api


def test_a_purchase_needs_an_address(api: ApiClient) -> None:
    refused = (409, "billing_address_required")
    assert api.problem("POST", "/subscription/preview", plan="plus") == refused
    assert api.problem("PATCH", "/subscription", plan="plus") == refused
    assert api.ok("GET", "/subscription")["plan"] == "free"


@pytest.mark.parametrize(
    ("catalog_file", "on_top"), [("exclusive", True), ("inclusive", False)], indirect=["catalog_file"]
)
def test_the_quoted_taxes_are_charged(world: World, api: ApiClient, on_top: bool) -> None:
    api.ok("PUT", "/billing-details", **DETAILS)
    assert at_stripe(world).automatic_tax.enabled
    quote = api.ok("POST", "/subscription/preview", plan="plus", quantity=2)
    assert bool(quote["taxes"]) == on_top
    assert bool(quote["taxes_included"]) != on_top
    api.ok("PATCH", "/subscription", quote=quote["token"])
    world.settle()
    [_, change] = sorted(world.rows(PlanChange), key=lambda each: each.created_at)
    assert (change.charged, change.due_now) == (change.quoted, quote["amount_due_now"])
    invoice = api.ok("GET", "/invoices")["data"][0]
    assert invoice["total"] == quote["amount_due_now"]
    assert 0 < invoice["taxes"] < invoice["total"]


def test_an_address_in_the_trial_switches_the_tax_on(world: World, stripe_time: StripeTime) -> None:
    api = world.api()
    api.ok("POST", "/subscription")
    assert not at_stripe(world).automatic_tax.enabled
    api.ok("PUT", "/billing-details", **DETAILS)
    api.add_card(world.stripe)
    stripe_time.ahead = 31 * DAY
    assert at_stripe(world).status == "active"
    world.settle()
    assert api.ok("GET", "/invoices")["data"][0]["taxes"] > 0


def test_an_enrolment_with_an_address_has_the_tax_on(world: World) -> None:
    api = world.api()
    api.ok("PUT", "/billing-details", **DETAILS)
    api.ok("POST", "/subscription", plan="free")
    assert at_stripe(world).automatic_tax.enabled
