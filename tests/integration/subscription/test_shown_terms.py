"""Plan Details and the quote show scheduled ends, pauses and discounts."""

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.db.models import Discounts, Invoice, UpcomingInvoice
from tests.support.api import ApiClient
from tests.support.other_terms import at_stripe, change_at_stripe
from tests.support.stripe_account import plain
from tests.support.stripe_events import deliver, event
from tests.support.world import World


def days(count: int) -> int:
    return int((datetime.now(UTC) + timedelta(days=count)).timestamp())


ENDS: list[dict[str, Any]] = [{"cancel_at_period_end": True}, {"cancel_at": days(10)}, {"cancel_at": days(100)}]


@pytest.mark.parametrize("end", ENDS)
def test_an_upgrade_clears_the_end_and_its_quote_says_so(world: World, api: ApiClient, end: dict[str, Any]) -> None:
    change_at_stripe(world, **end)
    ends_at = api.ok("GET", "/subscription")["ends_at"]
    assert ends_at is not None
    quote = api.ok("POST", "/subscription/preview", plan="plus")
    assert (quote["ends_at_cleared"], quote["ends_at"]) == (ends_at, None)
    assert api.ok("PATCH", "/subscription", quote=quote["token"])["subscription"]["ends_at"] is None
    assert at_stripe(world).cancel_at is None
    assert at_stripe(world).cancel_at_period_end is False


@pytest.mark.parametrize("end", ENDS[:1] + ENDS[2:])
def test_cancel_plan_clears_the_end_and_its_quote_says_so(world: World, api: ApiClient, end: dict[str, Any]) -> None:
    api.ok("PATCH", "/subscription", plan="plus")
    change_at_stripe(world, **end)
    ends_at = api.ok("GET", "/subscription")["ends_at"]
    quote = api.ok("POST", "/subscription/preview", plan="free")
    assert (quote["ends_at_cleared"], quote["ends_at"]) == (ends_at, None)
    assert api.ok("DELETE", "/subscription")["subscription"]["ends_at"] is None
    assert at_stripe(world).cancel_at is None


@pytest.mark.parametrize("end", ENDS[:1] + ENDS[2:])
def test_a_quantity_change_keeps_the_end(world: World, api: ApiClient, end: dict[str, Any]) -> None:
    api.ok("PATCH", "/subscription", plan="plus")
    change_at_stripe(world, **end)
    ends_at = api.ok("GET", "/subscription")["ends_at"]
    quote = api.ok("POST", "/subscription/preview", quantity=2)
    assert (quote["ends_at"], quote["ends_at_cleared"]) == (ends_at, None)
    assert api.ok("PATCH", "/subscription", quote=quote["token"])["subscription"]["ends_at"] == ends_at
    assert at_stripe(world).cancel_at is not None


@pytest.mark.parametrize("behavior", ["void", "keep_as_draft", "mark_uncollectible"])
def test_paused_collection_has_no_billing_date(world: World, api: ApiClient, behavior: str) -> None:
    api.ok("PATCH", "/subscription", plan="plus")
    before = api.ok("GET", "/subscription")
    change_at_stripe(world, pause_collection={"behavior": behavior})
    details = api.ok("GET", "/subscription")
    assert (details["paused"], details["paused_until"], details["billing_date"]) == (True, None, None)
    assert api.ok("POST", "/subscription/preview", quantity=2)["billing_date"] is None
    change_at_stripe(world, pause_collection="")
    assert api.ok("GET", "/subscription")["billing_date"] == before["billing_date"]


@pytest.mark.parametrize(("length", "bills"), [(3, True), (80, False)])
def test_pause_with_an_end(world: World, api: ApiClient, length: int, *, bills: bool) -> None:
    api.ok("PATCH", "/subscription", plan="plus")
    until = days(length)
    change_at_stripe(world, pause_collection={"behavior": "void", "resumes_at": until})
    details = api.ok("GET", "/subscription")
    assert datetime.fromisoformat(details["paused_until"]).timestamp() == until
    assert (details["billing_date"] is not None) == bills


COUPONS: list[dict[str, Any]] = [
    {"percent_off": 20, "duration": "forever"},
    {"percent_off": 12.5, "duration": "repeating", "duration_in_months": 3},
    {"amount_off": 5000, "currency": "usd", "duration": "once"},
]


@pytest.mark.parametrize("coupon", COUPONS)
def test_discount_of_a_subscription_is_shown(world: World, api: ApiClient, coupon: Any) -> None:
    api.ok("PATCH", "/subscription", plan="plus")
    created = world.stripe.v1.coupons.create(coupon | {"name": "Launch"})
    change_at_stripe(world, discounts=[{"coupon": created.id}])
    [shown] = api.ok("GET", "/subscription")["discounts"]
    assert (shown["name"], shown["percent_off"], shown["amount_off"], shown["currency"]) == (
        "Launch",
        coupon.get("percent_off"),
        coupon.get("amount_off"),
        coupon.get("currency"),
    )
    assert (shown["ends_at"] is not None) == (coupon["duration"] == "repeating")
    change_at_stripe(world, discounts="")
    assert api.ok("GET", "/subscription")["discounts"] == []


def test_discount_of_an_item_is_shown_by_its_id(world: World, api: ApiClient) -> None:
    api.ok("PATCH", "/subscription", plan="plus")
    coupon = world.stripe.v1.coupons.create({"percent_off": 10, "duration": "forever"})
    [item] = at_stripe(world)["items"].data
    change_at_stripe(world, items=[{"id": item.id, "discounts": [{"coupon": coupon.id}]}])
    [shown] = api.ok("GET", "/subscription")["discounts"]
    assert (shown["name"], shown["percent_off"]) == (coupon.id, 10)


def test_two_discounts_are_shown(world: World, api: ApiClient) -> None:
    coupons = [world.stripe.v1.coupons.create({"percent_off": off, "duration": "forever"}) for off in (10, 30)]
    change_at_stripe(world, discounts=[{"coupon": each.id} for each in coupons])
    assert sorted(each["percent_off"] for each in api.ok("GET", "/subscription")["discounts"]) == [10, 30]
    assert len(world.rows(Discounts)) == 1


RATES: list[dict[str, Any]] = [
    {"percentage": 19, "inclusive": False},
    {"percentage": 19, "inclusive": True},
    {"percentage": 8.875, "inclusive": False},
]


BALANCES = [0, -3300, -9_000_000]
SUMS = [  # a third of all combinations holds every pair of two terms
    pytest.param(coupon, rate, balance, marks=[] if (i + j + k) % len(BALANCES) == 0 else pytest.mark.long)
    for i, coupon in enumerate([None, *COUPONS])
    for j, rate in enumerate([None, *RATES])
    for k, balance in enumerate(BALANCES)
]


@pytest.mark.parametrize(("coupon", "rate", "balance"), SUMS)
def test_sums_of_a_quote_add_up(world: World, api: ApiClient, coupon: Any, rate: Any, balance: int) -> None:
    [customer] = world.stripe.v1.customers.list().data
    if balance:
        world.stripe.v1.customers.update(customer.id, {"balance": balance})
    if coupon is not None:
        created = world.stripe.v1.coupons.create(coupon)
        change_at_stripe(world, discounts=[{"coupon": created.id}])
    if rate is not None:
        tax = world.stripe.v1.tax_rates.create(rate | {"display_name": "VAT"})
        change_at_stripe(world, default_tax_rates=[tax.id])
    for body in ({"plan": "plus", "quantity": 3}, {"quantity": 1}, {"plan": "free"}):
        quote = api.ok("POST", "/subscription/preview", **body)
        total = quote["subtotal"] + quote["discounts"] + quote["taxes"] + quote["balance"]
        assert total == quote["amount_due_now"] + quote["amount_due_on_billing_date"]
        assert quote["subtotal"] == sum(line["amount"] for line in quote["lines"])
        api.ok("PATCH", "/subscription", quote=quote["token"])
        if body != {"plan": "free"}:
            upcoming = world.stripe.v1.invoices.create_preview({"subscription": at_stripe(world).id})
            assert upcoming.amount_due == quote["amount_due_on_billing_date"]
    if coupon is None and rate is None and balance == 0:
        assert (quote["discounts"], quote["taxes"]) == (0, 0)


def announce(world: World, age: int = 0) -> None:
    """Deliver the event of charges that Stripe calculated ``age`` seconds ago."""
    upcoming = plain(world.stripe.v1.invoices.create_preview({"subscription": at_stripe(world).id}))
    upcoming.pop("id")
    shown = upcoming | {"billing_reason": "upcoming"}
    created = int(time.time()) - age
    announced = event(id=f"evt_{age}", type="invoice.upcoming", created=created, data={"object": shown})
    assert deliver(world, json.dumps(announced)).status_code == 200
    world.work()


def test_upcoming_charges_follow_a_change(world: World, api: ApiClient) -> None:
    api.ok("PATCH", "/subscription", plan="plus")
    world.settle()
    announce(world)
    assert api.ok("GET", "/subscription")["upcoming_charges"]["amount_due"] == 50000
    quote = api.ok("POST", "/subscription/preview", quantity=5)
    changed = api.ok("PATCH", "/subscription", quote=quote["token"])["subscription"]
    assert changed["upcoming_charges"] is None
    world.settle()
    shown = api.ok("GET", "/subscription")["upcoming_charges"]
    assert shown["amount_due"] == quote["amount_due_on_billing_date"]
    world.stripe.v1.subscriptions.cancel(at_stripe(world).id)
    world.settle()
    assert world.rows(UpcomingInvoice) == []


def test_late_announcement_of_an_earlier_state_is_calculated_again(world: World, api: ApiClient) -> None:
    api.ok("PATCH", "/subscription", plan="plus", quantity=4)
    world.settle()
    announce(world, age=60)
    [row] = world.rows(UpcomingInvoice)
    assert row.source == "refresh"


def test_later_invoice_of_one_second_is_the_latest(world: World, api: ApiClient) -> None:
    [customer] = world.stripe.v1.customers.list().data
    for amount in (100, 200, 300):
        world.stripe.v1.invoice_items.create({"customer": customer.id, "amount": amount, "currency": "usd"})
        invoice = world.stripe.v1.invoices.create(
            {"customer": customer.id, "pending_invoice_items_behavior": "include", "auto_advance": False}
        )
        world.stripe.v1.invoices.finalize_invoice(invoice.id)
    world.settle()
    with world.gateway.database.transaction() as session:
        rows = session.query(Invoice).where(Invoice.total.in_((100, 200, 300))).all()
        later = rows[0].created + timedelta(hours=1)
        for row in rows:
            row.created = later
            row.id = f"in_{1000 - row.total}"  # the ids say the opposite
    assert api.ok("GET", "/subscription")["latest_invoice"]["total"] == 300
    pages = [api.ok("GET", "/invoices?limit=1")["data"][0]]
    pages += api.ok("GET", f"/invoices?limit=1&starting_after={pages[0]['id']}")["data"]
    assert [each["total"] for each in pages] == [300, 200]
