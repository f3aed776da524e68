"""An organization buys any plan of the catalogue, in its currency, with the plan's metered prices."""

from typing import Any

from tests.support.accounts import make_customer, subscribe
from tests.support.json_types import Json
from tests.support.other_terms import at_stripe, change_at_stripe, create_price, due, held_at_stripe
from tests.support.world import World


def offers(world: World) -> dict[str, Json]:
    return {plan["key"]: plan for plan in world.api().ok("GET", "/plans")["data"]}


def buy(world: World, **change: Any) -> Json:
    """Quote the change, confirm the quote, and return the Plan Details."""
    quote = world.api().ok("POST", "/subscription/preview", **change)
    details: Json = world.api().ok("PATCH", "/subscription", quote=quote["token"])["subscription"]
    upcoming = world.stripe.v1.invoices.create_preview({"subscription": at_stripe(world).id})
    assert upcoming.amount_due == due(quote)
    return details


def test_any_plan_is_bought_changed_and_left(world: World) -> None:
    api = world.api()
    api.ok("POST", "/subscription", plan="basic")
    assert held_at_stripe(world) == [("konnect_basic_usd_month", 1)]
    assert api.problem("PATCH", "/subscription", plan="team") == (402, "payment_method_required")
    api.add_card(world.stripe)
    assert buy(world, plan="starter", quantity=3)["plan"] == "starter"
    assert held_at_stripe(world) == [("konnect_starter_calls_usd_month", None), ("konnect_starter_usd_month", 3)]
    assert buy(world, plan="team", quantity=20)["plan"] == "team"
    assert held_at_stripe(world) == [("konnect_team_calls_usd_month", None), ("konnect_team_usd_month", 20)]
    assert buy(world, quantity=5)["quantity"] == 5
    assert buy(world, plan="starter")["plan"] == "starter"
    assert held_at_stripe(world) == [("konnect_starter_calls_usd_month", None), ("konnect_starter_usd_month", 1)]
    assert api.ok("DELETE", "/subscription")["subscription"]["plan"] == "basic"
    assert held_at_stripe(world) == [("konnect_basic_usd_month", 1)]
    assert api.problem("PATCH", "/subscription", plan="legacy") == (409, "plan_unavailable")
    assert api.problem("PATCH", "/subscription", plan="business") == (409, "contact_sales_required")


def test_offers_show_all_prices_limits_and_features(world: World) -> None:
    found = offers(world)
    assert list(found) == ["basic", "starter", "team", "business"]
    starter = found["starter"]
    assert [(each["interval"], each["currency"], each["unit_amount"]) for each in starter["prices"]][3:] == [
        ("year", "usd", 10000),
        ("year", "eur", 9000),
    ]
    [calls] = starter["metered"]
    assert (calls["name"], calls["included"], calls["prices"][0]["tiers"][1]["unit_amount_decimal"]) == (
        "Calls",
        1000,
        "0.5",
    )
    assert (starter["unit"], starter["limits"], starter["trial"]) == ("seats", {"seats": 50}, None)
    assert (found["basic"]["features"], found["business"]["features"]) == ({"sso": False}, {"sso": True})
    assert all(price["id"] for plan in found.values() for price in plan["prices"])


def test_a_list_price_of_usage_is_not_shown_to_who_pays_another(world: World) -> None:
    api = world.api()
    api.ok("POST", "/subscription", plan="basic")
    api.add_card(world.stripe)
    listed = {key: offer["metered"][0]["price"] for key, offer in offers(world).items() if offer["metered"]}
    assert {price["currency"] for price in listed.values()} == {"usd"}
    buy(world, plan="starter")
    assert offers(world)["starter"]["metered"][0]["price"] == listed["starter"]
    [calls] = [each for each in at_stripe(world)["items"].data if each.price.recurring.usage_type == "metered"]
    recurring = {"interval": "month", "usage_type": "metered", "meter": calls.price.recurring.meter}
    agreed = create_price(world, str(calls.price.product), unit_amount=1, recurring=recurring)
    change_at_stripe(world, items=[{"id": calls.id, "price": agreed}])
    shown = {key: offer["metered"][0]["price"] for key, offer in offers(world).items() if offer["metered"]}
    assert shown == {**listed, "starter": None}


def test_the_currency_of_an_enrolment_is_fixed(world: World) -> None:
    api = world.api()
    assert api.problem("POST", "/subscription", plan="basic", currency="gbp") == (422, "invalid_request")
    api.ok("POST", "/subscription", plan="basic", currency="jpy")
    api.add_card(world.stripe)
    assert api.problem("POST", "/subscription", plan="team", currency="usd") == (422, "invalid_request")
    details = buy(world, plan="team", quantity=2)
    assert (details["currency"], details["price"]["unit_amount"]) == ("jpy", 3000)
    assert offers(world)["team"]["metered"][0]["price"]["currency"] == "jpy"
    assert held_at_stripe(world) == [("konnect_team_calls_jpy_month", None), ("konnect_team_jpy_month", 2)]


def test_a_plan_that_lacks_the_currency_is_unavailable(world: World) -> None:
    world.api().ok("POST", "/subscription", plan="basic", currency="eur")
    assert {key: offer["action"] for key, offer in offers(world).items()} == {
        "basic": "current",
        "starter": "upgrade",
        "team": "unavailable",
        "business": "contact_sales",
    }


def test_an_archived_plan_is_kept(world: World) -> None:
    customer = make_customer(world, "org_1")
    subscribe(world, customer, "legacy", quantity=1)
    world.settle()
    offer = offers(world)["legacy"]
    assert (offer["action"], world.plan_row().plan) == ("current", "legacy")
    assert buy(world, plan="team")["plan"] == "team"
    assert "legacy" not in offers(world)


def test_sales_manages_cards_and_invoices_of_its_plan(world: World) -> None:
    customer = make_customer(world, "org_1")
    subscribe(world, customer, "business")
    world.settle()
    [card] = world.stripe.v1.customers.payment_methods.list(customer).data
    [invoice] = world.stripe.v1.invoices.list({"customer": customer}).data
    for method, path, body in (
        ("POST", "/billing-details/setup-intent", {}),
        ("PUT", "/payment-methods/default", {"payment_method": card.id}),
        ("DELETE", f"/payment-methods/{card.id}", {}),
    ):
        assert world.api().problem(method, path, **body) == (409, "contact_sales_required"), path
    assert world.api().ok("GET", f"/invoices/{invoice.id}")["status"] == "paid"
    shown = world.api().ok("GET", "/subscription")
    assert (shown["managed_by_sales"], shown["actions"]) == (True, ["contact_sales"])
