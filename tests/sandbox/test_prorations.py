"""Prorations to the cent, compared with amounts recorded from Stripe's API (2026-08-26.dahlia)."""

import json
from fractions import Fraction
from pathlib import Path

import pytest
import stripe

from gateway.sandbox.proration import nearest
from tests.support.clock import MONTH, START, ManualClock
from tests.support.json_types import Json
from tests.support.stripe_account import StripeAccount, plain

CASES: list[Json] = json.loads(Path(__file__).with_name("prorations.json").read_text())


def changed(account: StripeAccount, subscription: stripe.Subscription, case: Json) -> stripe.Subscription:
    request = dict(case["request"])
    if case["new_amount"] is None:
        return account.v1.subscriptions.cancel(subscription.id, {"prorate": True, "invoice_now": True})
    if "billing_cycle_anchor" in request:
        return account.v1.subscriptions.update(subscription.id, {"billing_cycle_anchor": {"type": "now"}})
    price = account.price(case["new_amount"], case["product"])
    return account.swap(subscription, price.id, **request)


def lines_as_recorded(rows: list[Json]) -> list[Json]:
    return [
        {
            "amount": row["amount"],
            "period": [row["period"]["start"], row["period"]["end"]],
            "description": row["description"],
            "credit": row["description"].startswith("Unused"),
        }
        for row in rows
    ]


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["case"]))
def test_change_is_billed_as_recorded_from_stripe(account: StripeAccount, clock: ManualClock, case: Json) -> None:
    clock.now = case["created"]
    customer = account.customer()
    before = account.subscribe(customer.id, account.price(case["old_amount"], case["product"]).id)
    clock.now = case["changed"]

    after = changed(account, before, case)

    item = plain(after)["items"]["data"][0]
    assert [item["current_period_start"], item["current_period_end"]] == case["period"]
    pending = [plain(row) for row in account.pending(customer.id)]
    if case["invoice"] is None:
        assert after.latest_invoice == before.latest_invoice
        assert lines_as_recorded(pending) == case["lines"]
        return
    assert pending == []
    invoice = plain(account.invoice(after))
    assert {key: invoice[key] for key in case["invoice"]} == case["invoice"]
    for key, seconds in case.get("after_creation", {}).items():
        assert invoice[key] - invoice["created"] == seconds
    assert lines_as_recorded(invoice["lines"]["data"]) == case["lines"]
    assert all(row["parent"]["subscription_item_details"]["proration"] for row in invoice["lines"]["data"])
    balance = account.v1.customers.retrieve(customer.id).balance
    assert balance == (case["invoice"]["ending_balance"] or 0)


@pytest.mark.parametrize(
    ("exact", "rounded"),
    [(Fraction(-5, 2), -3), (Fraction(9, 2), 4), (Fraction(15, 2), 7), (Fraction(-166345, 1000), -166)],
)
def test_exact_half_rounds_toward_minus_infinity(exact: Fraction, rounded: int) -> None:
    assert nearest(exact) == rounded


def test_quantity_change_prorates_the_whole_item(account: StripeAccount, clock: ManualClock) -> None:
    customer = account.customer()
    price = account.price(900)
    subscription = account.subscribe(customer.id, price.id)
    clock.now += MONTH * 2 // 3

    account.swap(subscription, price.id, quantity=3)

    credit, debit = account.pending(customer.id)
    assert (credit.amount, credit.quantity) == (-300, 1)
    assert (debit.amount, debit.quantity) == (900, 3)
    assert debit.description == "Remaining time on 3 × Plus after 11 Oct 2026"  # noqa: RUF001 - Stripe's own sign


def test_credit_is_based_on_the_billed_amount_not_the_current_price(account: StripeAccount) -> None:
    customer = account.customer()
    subscription = account.subscribe(customer.id, account.price(1000).id)
    account.swap(subscription, account.price(1800).id, proration_behavior="none")

    account.v1.subscriptions.cancel(subscription.id, {"prorate": True})

    (credit,) = account.pending(customer.id)
    assert credit.amount == -1000
    assert credit.parent is None


def test_free_plan_has_no_credit_and_no_charge(account: StripeAccount, clock: ManualClock) -> None:
    customer = account.customer()
    free, plus = account.price(0), account.price(3000)
    subscription = account.subscribe(customer.id, free.id)
    clock.now += MONTH // 3
    account.swap(subscription, plus.id)
    assert [row.amount for row in account.pending(customer.id)] == [2000]
    clock.now += MONTH // 3
    account.swap(subscription, free.id)
    assert sorted(row.amount for row in account.pending(customer.id)) == [-1000, 2000]


def test_every_debit_is_credited_once(account: StripeAccount) -> None:
    """Proration dates may move back and forth within the period. The totals still match the time used."""
    customer = account.customer()
    cheap, dear = account.price(3000), account.price(6000)
    subscription = account.subscribe(customer.id, cheap.id)
    account.swap(subscription, dear.id, proration_date=START + MONTH * 2 // 3)
    account.swap(subscription, cheap.id, proration_date=START + MONTH // 3)
    amounts = sorted(row.amount for row in account.pending(customer.id))
    assert amounts == [-2000, -1000, -1000, 2000, 2000]


def test_plan_change_keeps_the_anchor(account: StripeAccount, clock: ManualClock) -> None:
    customer = account.customer()
    subscription = account.subscribe(customer.id, account.price(0).id)
    clock.now += 86400
    after = account.swap(subscription, account.price(5000).id)
    assert after.billing_cycle_anchor == START
    assert after.items.data[0].current_period_start == START
