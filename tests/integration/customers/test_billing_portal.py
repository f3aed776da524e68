"""Stripe's billing portal opens for the caller's customer and cannot change the plan."""

from typing import Any

import requests

from tests.support.accounts import subscribe
from tests.support.api import ApiClient
from tests.support.world import World

BACK = "https://konnect.example/billing"


def configurations(world: World) -> list[Any]:
    return world.stripe.v1.billing_portal.configurations.list().data


def test_card_added_in_the_portal_is_charged(world: World, api: ApiClient) -> None:
    before = api.ok("GET", "/subscription")["payment_method"]["id"]
    url = api.ok("POST", "/billing-portal", return_url=BACK)["url"]
    assert BACK in requests.get(url, timeout=5).text
    requests.post(url, data={"do": "add_card", "card": "pm_card_mastercard"}, timeout=5).raise_for_status()
    world.settle()
    shown = api.ok("GET", "/subscription")["payment_method"]
    assert shown["id"] != before
    assert shown["brand"] == "mastercard"


def test_one_configuration_serves_every_session(world: World, api: ApiClient) -> None:
    portal = world.stripe.v1.billing_portal
    other = portal.configurations.create({"features": {"subscription_update": {"enabled": True}}})
    first, second = (api.ok("POST", "/billing-portal", return_url=BACK)["url"] for _ in range(2))
    assert first != second
    [own] = [each for each in configurations(world) if each.id != other.id]
    portal.configurations.update(own.id, {"features": {"subscription_cancel": {"enabled": True}}, "active": False})
    api.ok("POST", "/billing-portal", return_url=BACK)
    [own] = [each for each in configurations(world) if each.id != other.id]
    features = own.features.to_dict()
    assert [name for name, each in features.items() if each["enabled"]] == [
        "customer_update",
        "invoice_history",
        "payment_method_update",
    ]
    assert features["customer_update"]["allowed_updates"] == ["tax_id"]
    assert portal.configurations.retrieve(other.id).features.subscription_update.enabled


def test_plan_of_sales_has_no_portal(world: World, api: ApiClient) -> None:
    customer = world.stripe.v1.customers.list().data[0].id
    subscribe(world, customer, "enterprise")
    world.settle()
    assert api.problem("POST", "/billing-portal", return_url=BACK) == (409, "contact_sales_required")


def test_return_address_must_be_a_web_address(world: World, api: ApiClient) -> None:
    for address in ("javascript:alert(1)", "/billing", "ftp://konnect.example", "https://konnect.example@a.test"):
        assert api.problem("POST", "/billing-portal", return_url=address) == (422, "invalid_request")
    assert configurations(world) == []
