"""A subscription keeps its price, currency and interval, whatever the catalogue sells."""

from typing import Any

import pytest
from sqlalchemy import update

from gateway.db.models import Organization, Subscription
from gateway.services.operations.catalog_sync import sync_catalog
from tests.support.api import ApiClient
from tests.support.clock import DAY, StripeTime
from tests.support.json_types import Json
from tests.support.other_terms import at_stripe, change_at_stripe, create_price, sell
from tests.support.quoted_changes import make_quoted
from tests.support.world import World

TIERS = [{"up_to": 3, "unit_amount": 20000}, {"up_to": "inf", "unit_amount": 15000}]
OTHER_TERMS: dict[str, dict[str, Any]] = {
    "negotiated": {"unit_amount": 19900},
    "with a fraction of a cent": {"unit_amount_decimal": "19900.5"},
    "euro": {"unit_amount": 24000, "currency": "eur"},
    "yen, without minor units": {"unit_amount": 36000, "currency": "jpy"},
    "pound": {"unit_amount": 21000, "currency": "gbp"},
    "yearly": {"unit_amount": 240000, "recurring": {"interval": "year"}},
    "quarterly": {"unit_amount": 70000, "recurring": {"interval": "month", "interval_count": 3}},
    "tiered": {"billing_scheme": "tiered", "tiers_mode": "volume", "tiers": TIERS},
}
TERMS = pytest.mark.parametrize("terms", OTHER_TERMS.values(), ids=OTHER_TERMS.keys())


@TERMS
def test_quantity_changes_at_the_present_price(world: World, terms: dict[str, Any]) -> None:
    sell(world, create_price(world, **terms))
    shown = world.api().ok("GET", "/subscription")
    quote = world.api().ok("POST", "/subscription/preview", quantity=3)
    assert quote["billing_date"] == shown["billing_date"]
    changed = world.api().ok("PATCH", "/subscription", quote=quote["token"])["subscription"]
    [item] = at_stripe(world)["items"].data
    assert (item.price.id, item.quantity) == (shown["price"]["id"], 3)
    assert (changed["price"], changed["billing_date"]) == (shown["price"], shown["billing_date"])
    [subscription] = world.rows(Subscription)
    upcoming = world.stripe.v1.invoices.create_preview({"subscription": subscription.id})
    assert upcoming.amount_due == quote["amount_due_on_billing_date"]
    assert bool(quote["amount_due_now"]) == (shown["price"]["interval"] == "year")


@TERMS
def test_plan_details_show_the_price_that_is_paid(world: World, terms: dict[str, Any]) -> None:
    sell(world, create_price(world, **terms))
    price = world.api().ok("GET", "/subscription")["price"]
    recurring = terms.get("recurring", {"interval": "month"})
    assert price["unit_amount"] == terms.get("unit_amount")
    assert price["unit_amount_decimal"] == terms.get("unit_amount_decimal")
    assert price["currency"] == terms.get("currency", "usd")
    assert (price["interval"], price["interval_count"]) == (recurring["interval"], recurring.get("interval_count", 1))
    [_, plus, _] = world.api().ok("GET", "/plans")["data"]
    assert (plus["price"], plus["action"]) == (price, "current")


@TERMS
def test_cancel_plan_works_on_all_terms(world: World, terms: dict[str, Any]) -> None:
    sell(world, create_price(world, **terms))
    before = world.api().ok("GET", "/subscription")
    assert "cancel_plan" in before["actions"]
    quote = world.api().ok("POST", "/subscription/preview", plan="free")
    after = world.api().ok("PATCH", "/subscription", quote=quote["token"])["subscription"]
    assert (after["plan"], after["price"]["unit_amount"], after["currency"]) == ("free", 0, before["currency"])
    assert (after["price"]["interval"], after["price"]["interval_count"]) == ("month", 1)
    [kept] = [each.price.recurring for each in at_stripe(world)["items"].data]
    assert (kept.interval, kept.interval_count) == (before["price"]["interval"], before["price"]["interval_count"])
    world.settle()
    assert world.plan_row().plan == "free"


@pytest.mark.parametrize("kind", ["yearly", "quarterly"])
def test_a_month_of_a_plan_follows_other_terms(world: World, stripe_time: StripeTime, kind: str) -> None:
    sell(world, create_price(world, **OTHER_TERMS[kind]))
    api = world.api()
    api.ok("DELETE", "/subscription")
    stripe_time.ahead = 60
    world.settle()
    assert "change_plan" in api.ok("GET", "/subscription")["actions"]
    [offered] = [each for each in api.ok("GET", "/plans")["data"] if each["key"] == "plus"]
    assert (offered["action"], offered["price"]["unit_amount"], offered["price"]["interval"]) == (
        "upgrade",
        25000,
        "month",
    )
    assert api.problem("PATCH", "/subscription", plan="free") == (409, "no_change")
    balance = world.stripe.v1.customers.list().data[0].balance
    assert make_quoted(world, plan="plus")["amount_due_now"] == 0
    [bought] = at_stripe(world)["items"].data
    assert bought.current_period_end - bought.current_period_start <= 31 * DAY
    assert world.stripe.v1.customers.list().data[0].balance == balance  # nothing was charged
    pending = world.stripe.v1.invoice_items.list({"pending": True}).data
    assert [item.amount for item in pending if item.amount > 0] == [25000]


@pytest.mark.parametrize("kind", ["euro", "yen, without minor units"])
def test_a_plan_that_is_not_sold_on_these_terms_is_not_offered(world: World, kind: str) -> None:
    sell(world, create_price(world, **OTHER_TERMS[kind]))
    world.api().ok("DELETE", "/subscription")
    offers = {each["key"]: each["action"] for each in world.api().ok("GET", "/plans")["data"]}
    assert offers == {"free": "current", "plus": "unavailable", "enterprise": "contact_sales"}
    assert world.api().ok("GET", "/subscription")["actions"] == ["contact_sales"]
    assert world.api().problem("PATCH", "/subscription", plan="plus") == (409, "plan_unavailable")
    refused = world.api()("POST", "/subscription/preview", plan="plus")
    assert (refused.status_code, refused.get_json()["code"]) == (409, "plan_unavailable")
    assert "contact our sales team" in refused.get_json()["detail"]


def test_a_customer_in_another_currency_can_enrol(world: World) -> None:
    world.api().ok("POST", "/billing-details/setup-intent")
    world.api().add_card(world.stripe)
    with world.gateway.database.transaction() as session:
        session.execute(update(Organization).values(currency="eur"))
    assert world.api().problem("POST", "/subscription", plan="plus") == (409, "plan_unavailable")
    assert world.api().ok("POST", "/subscription", plan="free")["subscription"]["currency"] == "eur"


def test_archived_price_is_kept(world: World, api: ApiClient) -> None:
    api.ok("PATCH", "/subscription", plan="plus")
    [item] = at_stripe(world)["items"].data
    world.stripe.v1.prices.update(item.price.id, {"active": False})
    world.settle()
    api.ok("PATCH", "/subscription", quantity=2)
    [kept] = at_stripe(world)["items"].data
    assert (kept.price.id, kept.quantity) == (item.price.id, 2)


def raise_price(world: World) -> None:
    """Raise the price of Plus at Stripe, as a sync of another release's catalogue does."""
    key = "konnect_plus_usd_month"
    create_price(world, unit_amount=30000, lookup_key=key, transfer_lookup_key=True)
    world.settle()


def shown_price(api: ApiClient) -> Json:
    [price] = [each["price"] for each in api.ok("GET", "/plans")["data"] if each["key"] == "plus"]
    return dict(price)


def test_changed_catalogue_price_is_refused_with_a_new_quote(world: World, api: ApiClient) -> None:
    seen = shown_price(api)
    raise_price(world)
    refused = api("PATCH", "/subscription", plan="plus", shown_price=seen["id"])
    assert (refused.status_code, refused.get_json()["code"]) == (409, "quote_stale")
    assert (shown_price(api)["unit_amount"], seen["unit_amount"]) == (30000, 25000)
    quote = refused.get_json()["quote"]
    assert max(line["amount"] for line in quote["lines"]) == 30000
    assert api.ok("PATCH", "/subscription", quote=quote["token"])["subscription"]["price"] == shown_price(api)


def test_quote_of_the_earlier_price_is_refused(world: World, api: ApiClient) -> None:
    quote = api.ok("POST", "/subscription/preview", plan="plus")
    raise_price(world)
    assert api.problem("PATCH", "/subscription", quote=quote["token"]) == (409, "quote_stale")


def test_the_shown_price_is_charged(world: World, api: ApiClient) -> None:
    raise_price(world)
    api.ok("PATCH", "/subscription", plan="plus", shown_price=shown_price(api)["id"])
    assert at_stripe(world)["items"].data[0].price.unit_amount == 30000
    raise_price(world)  # the subscription keeps its price
    api.ok("PATCH", "/subscription", quantity=2, shown_price=shown_price(api)["id"])


def test_a_synced_catalogue_changes_no_subscription(world: World, api: ApiClient) -> None:
    api.ok("PATCH", "/subscription", plan="plus")
    raise_price(world)
    list(sync_catalog(world.gateway))
    world.settle()
    assert api.ok("GET", "/subscription")["price"]["unit_amount"] == 25000


def test_a_scheduled_subscription_is_changed_by_sales(world: World, api: ApiClient) -> None:
    api.ok("PATCH", "/subscription", plan="plus")
    schedules = world.stripe.v1.subscription_schedules
    schedule = schedules.create({"from_subscription": world.plan_row().subscription_id or ""})
    world.settle()
    details = api.ok("GET", "/subscription")
    assert (details["scheduled"], details["actions"]) == (True, ["contact_sales"])
    assert not details["managed_by_sales"]
    for method, body in (("PATCH", {"quantity": 2}), ("PATCH", {"plan": "free"}), ("DELETE", {})):
        assert api.problem(method, "/subscription", **body) == (409, "contact_sales_required")
    assert api.problem("POST", "/subscription/preview", quantity=2) == (409, "contact_sales_required")
    actions = [each["action"] for each in api.ok("GET", "/plans")["data"]]
    assert actions == ["contact_sales", "current", "contact_sales"]
    schedules.release(schedule.id)
    world.settle()
    assert api.ok("PATCH", "/subscription", quantity=2)["subscription"]["scheduled"] is False


def test_a_canceled_schedule_ends_the_plan(world: World, api: ApiClient) -> None:
    api.ok("PATCH", "/subscription", plan="plus")
    schedules = world.stripe.v1.subscription_schedules
    schedules.cancel(schedules.create({"from_subscription": world.plan_row().subscription_id or ""}).id)
    world.settle()
    assert (world.plan_row().plan, world.plan_row().status) == ("free", "canceled")


def test_the_earliest_period_end_is_the_billing_date(world: World) -> None:
    sell(world, create_price(world, unit_amount=240000, recurring={"interval": "year"}))
    support = world.stripe.v1.products.create({"name": "Support"})
    monthly = create_price(world, support.id, unit_amount=5000)
    change_at_stripe(world, items=[{"price": monthly}])
    details = world.api().ok("GET", "/subscription")
    quote = world.api().ok("POST", "/subscription/preview", quantity=2)
    assert quote["billing_date"] == details["billing_date"] < details["current_period"]["end"]
