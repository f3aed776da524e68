"""An organization moves between prices by the month and by the year, and pays exactly what was quoted."""

import time
from datetime import datetime, timedelta
from typing import Any

import pytest

from gateway.errors import StripeUnavailable
from gateway.services.plan_changes.unpaid_credits import withdraw_for_organization
from tests.support.accounts import make_customer, price_id, subscribe
from tests.support.api import ApiClient
from tests.support.clock import StripeTime
from tests.support.other_terms import at_stripe, change_at_stripe, held_at_stripe
from tests.support.quoted_changes import make_quoted
from tests.support.world import World


@pytest.fixture
def api(world: World) -> ApiClient:
    """Return a client for an organization that is on the floor plan with a card."""
    api = world.api()
    api.ok("POST", "/subscription", plan="basic")
    api.add_card(world.stripe)
    return api


def test_a_year_begins_when_it_is_bought(world: World, api: ApiClient) -> None:
    quote = make_quoted(world, plan="starter", quantity=2, interval="year")
    assert (quote["amount_due_now"], quote["interval"]) == (20000, "year")
    assert held_at_stripe(world) == [("konnect_starter_calls_usd_month", None), ("konnect_starter_usd_year", 2)]
    invoiced = at_stripe(world).pending_invoice_item_interval
    assert invoiced is not None
    assert invoiced.interval == "month"
    details = api.ok("GET", "/subscription")
    period = {key: datetime.fromisoformat(at) for key, at in details["current_period"].items()}
    assert period["end"] - period["start"] >= timedelta(days=365)
    # Usage is billed monthly, so the first billing date is that of the metered item.
    assert details["billing_date"] < details["current_period"]["end"]
    late = datetime.fromisoformat(details["billing_date"]) - datetime.fromisoformat(quote["billing_date"])
    assert timedelta(0) <= late < timedelta(minutes=1)


def test_a_month_follows_a_year_and_is_paid_by_its_rest(world: World, api: ApiClient) -> None:
    make_quoted(world, plan="starter", interval="year")
    assert "change_interval" in api.ok("GET", "/subscription")["actions"]
    quote = make_quoted(world, interval="month")
    assert (quote["amount_due_now"], quote["plan"]) == (0, "starter")
    assert quote["credit"] == pytest.approx(10000, abs=5)
    [customer] = world.stripe.v1.customers.list().data
    assert customer.balance == 1000 - quote["credit"]
    assert held_at_stripe(world)[-1] == ("konnect_starter_usd_month", 1)
    assert at_stripe(world).pending_invoice_item_interval is None


def test_a_month_after_a_left_year_is_not_charged_at_sign_up(
    world: World, api: ApiClient, stripe_time: StripeTime
) -> None:
    make_quoted(world, plan="starter", interval="year")
    make_quoted(world, plan="basic")
    stripe_time.ahead = 60
    world.settle()
    assert api.ok("GET", "/subscription")["price"]["interval"] == "month"
    paid = len(world.stripe.v1.invoices.list().data)
    quote = make_quoted(world, plan="starter")
    assert (quote["interval"], quote["amount_due_now"], len(world.stripe.v1.invoices.list().data)) == ("month", 0, paid)
    assert at_stripe(world).pending_invoice_item_interval is None


def test_a_year_after_a_left_year_begins_when_it_is_bought(
    world: World, api: ApiClient, stripe_time: StripeTime
) -> None:
    api.ok("PATCH", "/subscription", plan="starter", interval="year")
    api.ok("DELETE", "/subscription")
    stripe_time.ahead = timedelta(days=100).total_seconds()
    world.settle()
    quote = make_quoted(world, plan="starter", interval="year")
    assert sum(line["amount"] for line in quote["lines"] if line["proration"]) == 10000


def test_more_seats_of_a_year_are_charged_now(world: World, api: ApiClient) -> None:
    api.ok("PATCH", "/subscription", plan="starter", interval="year")
    quote = make_quoted(world, quantity=3)
    assert quote["amount_due_now"] == pytest.approx(20000, abs=5)
    assert make_quoted(world, quantity=1)["amount_due_now"] == 0
    assert api.ok("DELETE", "/subscription")["subscription"]["plan"] == "basic"


def test_a_year_that_is_not_settled_keeps_its_interval(world: World, api: ApiClient, stripe_time: StripeTime) -> None:
    """The renewal is a draft for an hour. Stripe would credit a year that may never be paid."""
    api.ok("PATCH", "/subscription", plan="starter", interval="year")
    ends = max(item.current_period_end for item in at_stripe(world)["items"].data)  # the metered item's ends sooner
    stripe_time.ahead = ends - time.time() + 60
    assert world.stripe.v1.invoices.list({"status": "draft"}).data
    world.settle()
    assert api.problem("PATCH", "/subscription", interval="month") == (402, "unpaid_invoice")


def test_an_enrolment_names_the_interval(world: World) -> None:
    api = world.api()
    api.add_card(world.stripe)
    enrolled = api.ok("POST", "/subscription", plan="starter", interval="year")
    assert (enrolled["interval"], enrolled["subscription"]["price"]["unit_amount"]) == ("year", 10000)
    [starter] = [each for each in api.ok("GET", "/plans")["data"] if each["key"] == "starter"]
    assert (starter["intervals"], starter["price"]["interval"]) == (["month", "year"], "year")


def test_an_interval_that_cannot_be_had_is_refused(world: World, api: ApiClient) -> None:
    assert api.problem("PATCH", "/subscription", plan="basic", interval="year") == (422, "invalid_request")
    assert api.problem("PATCH", "/subscription", plan="starter", interval="week") == (422, "invalid_request")
    quote = api.ok("POST", "/subscription/preview", plan="starter", interval="year")
    assert api.problem("PATCH", "/subscription", quote=quote["token"], interval="month") == (409, "quote_stale")
    api.ok("PATCH", "/subscription", plan="starter")
    assert api.problem("PATCH", "/subscription", interval="month") == (409, "no_change")
    euro = world.api("org_2")
    euro.ok("POST", "/subscription", plan="basic", currency="jpy")
    assert euro.problem("POST", "/subscription/preview", plan="starter", interval="year") == (409, "plan_unavailable")


def test_other_items_keep_the_interval(world: World) -> None:
    subscribe(world, make_customer(world, "org_1"), "starter", quantity=1)
    world.settle()
    support = world.stripe.v1.products.create({"name": "Support"})
    recurring: Any = {"product": support.id, "currency": "usd", "unit_amount": 5, "recurring": {"interval": "month"}}
    change_at_stripe(world, items=[{"price": world.stripe.v1.prices.create(recurring).id}])
    assert world.api().problem("PATCH", "/subscription", interval="year") == (409, "contact_sales_required")


def test_pending_items_of_others_yearly_subscriptions_wait_a_month(world: World) -> None:
    subscribe(world, make_customer(world, "org_1"), price=price_id(world, "konnect_starter", interval="year"))
    world.settle()
    assert at_stripe(world)["pending_invoice_item_interval"] is None
    world.api().ok("PATCH", "/subscription", plan="starter", quantity=2)
    first = at_stripe(world)["next_pending_invoice_item_invoice"]
    assert at_stripe(world)["pending_invoice_item_interval"].interval == "month"
    world.api().ok("PATCH", "/subscription", plan="starter", quantity=1)
    assert at_stripe(world)["next_pending_invoice_item_invoice"] == first


def test_unpaid_year_is_charged_back_after_a_failure_of_stripe(world: World, stripe_time: StripeTime) -> None:
    yearly = price_id(world, "konnect_starter", interval="year")
    sent: Any = {"collection_method": "send_invoice", "days_until_due": 30}
    subscription = subscribe(world, make_customer(world, "org_1"), price=yearly, quantity=3, **sent)
    stripe_time.ahead = timedelta(hours=2).total_seconds()
    world.stripe.v1.subscriptions.retrieve(subscription)
    world.settle()
    change_at_stripe(world, items=[{"id": at_stripe(world)["items"].data[0].id, "quantity": 1}])
    world.settle()
    world.fault("error_before", method="POST", path=f"/v1/subscriptions/{subscription}", times=1)
    with pytest.raises(StripeUnavailable):
        withdraw_for_organization(world.gateway, "org_1")
    assert at_stripe(world)["pending_invoice_item_interval"] is None
    withdraw_for_organization(world.gateway, "org_1")
    assert at_stripe(world)["pending_invoice_item_interval"].interval == "month"
    credit, rest, charge = sorted(each.amount for each in world.stripe.v1.invoice_items.list({"pending": True}).data)
    assert (credit, 0 < rest < charge) == (-charge, True)
