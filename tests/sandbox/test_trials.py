"""Trials before the first charge, and how they end."""

from typing import Any

import pytest
import stripe

from gateway.sandbox.billing.invoicing import DRAFT_SECONDS
from tests.support.clock import DAY, MONTH, START
from tests.support.stripe_account import StripeAccount, plain

TRIAL_END = START + 14 * DAY


def begin(account: StripeAccount, clock: str, card: str | None = "pm_card_visa", **more: Any) -> stripe.Subscription:
    customer = account.on_clock(clock, card)
    return account.subscribe(customer.id, account.price(3000).id, **({"trial_end": TRIAL_END} | more))


def without_card(missing_payment_method: str) -> Any:
    return {"trial_settings": {"end_behavior": {"missing_payment_method": missing_payment_method}}}


def period(subscription: stripe.Subscription) -> tuple[int, int]:
    item = subscription.items.data[0]
    return item.current_period_start, item.current_period_end


def test_trial_has_an_invoice_of_zero_and_its_own_period(account: StripeAccount, test_clock: str) -> None:
    trial = begin(account, test_clock)
    assert (trial.status, trial.trial_start, trial.trial_end) == ("trialing", START, TRIAL_END)
    assert (trial.billing_cycle_anchor, period(trial)) == (TRIAL_END, (START, TRIAL_END))
    invoice = account.invoice(trial)
    assert (invoice.status, invoice.total, invoice.billing_reason) == ("paid", 0, "subscription_create")
    assert invoice.lines.data[0].description == "Free trial for 1 × Plus"  # noqa: RUF001 - Stripe's sign


def test_trial_can_be_given_in_days(account: StripeAccount, test_clock: str) -> None:
    customer = account.on_clock(test_clock)
    assert account.subscribe(customer.id, account.price(3000).id, trial_period_days=14).trial_end == TRIAL_END


def test_trial_without_a_card_starts_and_asks_for_one(account: StripeAccount, test_clock: str) -> None:
    trial = begin(account, test_clock, card=None)
    assert trial.status == "trialing"
    assert isinstance(trial.pending_setup_intent, str)
    confirmed = account.v1.setup_intents.confirm(trial.pending_setup_intent, {"payment_method": "pm_card_visa"})
    asked = account.again(trial)
    assert (asked.pending_setup_intent, asked.default_payment_method) == (None, confirmed.payment_method)


def test_trial_end_is_announced_and_then_the_first_month_charged(account: StripeAccount, test_clock: str) -> None:
    trial = begin(account, test_clock)
    account.advance(test_clock, TRIAL_END + 2 * DRAFT_SECONDS)
    (event,) = account.events(type="customer.subscription.trial_will_end")
    assert event.created == TRIAL_END - 3 * DAY
    paid = account.again(trial)
    assert (paid.status, period(paid)[0], account.invoice(paid).amount_paid) == ("active", TRIAL_END, 3000)


def test_end_of_a_short_trial_is_announced_immediately(account: StripeAccount, test_clock: str) -> None:
    begin(account, test_clock, trial_end=START + DAY)
    account.advance(test_clock, START + 60)
    assert [event.created for event in account.events(type="customer.subscription.trial_will_end")] == [START]


def test_plan_change_in_a_trial_costs_nothing(account: StripeAccount, test_clock: str) -> None:
    trial = begin(account, test_clock)
    account.advance(test_clock, START + 3 * DAY)
    account.swap(trial, account.price(9000).id)
    assert account.pending(str(trial.customer)) == []
    account.advance(test_clock, TRIAL_END + 2 * DRAFT_SECONDS)
    assert account.invoice(account.again(trial)).amount_paid == 9000


@pytest.mark.parametrize(
    ("how", "status", "event"),
    [
        ("cancel", "canceled", "customer.subscription.deleted"),
        ("pause", "paused", "customer.subscription.paused"),
        ("create_invoice", "past_due", "invoice.payment_failed"),
    ],
)
def test_trial_without_a_card_ends_as_its_settings_say(
    account: StripeAccount, test_clock: str, how: str, status: str, event: str
) -> None:
    trial = begin(account, test_clock, card=None, **without_card(how))
    account.advance(test_clock, TRIAL_END + 2 * DRAFT_SECONDS)
    assert account.again(trial).status == status
    assert len(account.events(type=event)) == 1


def test_trial_ended_early_is_charged_immediately(account: StripeAccount, test_clock: str) -> None:
    trial = begin(account, test_clock)
    account.advance(test_clock, START + 2 * DAY)
    active = account.v1.subscriptions.update(trial.id, {"trial_end": "now"})
    today = START + 2 * DAY
    assert (active.status, active.billing_cycle_anchor, period(active)[0]) == ("active", today, today)
    assert (active.trial_start, active.trial_end) == (START, today - 1)
    assert active.latest_invoice != trial.latest_invoice
    assert account.invoice(active).amount_paid == 3000


def test_trial_ended_early_without_a_card_pauses_until_paid(account: StripeAccount, test_clock: str) -> None:
    trial = begin(account, test_clock, card=None, **without_card("pause"))
    account.advance(test_clock, START + 2 * DAY)
    paused = account.v1.subscriptions.update(trial.id, {"trial_end": "now"})
    assert (paused.status, period(paused)) == ("paused", (START, START + 2 * DAY))
    assert paused.latest_invoice == trial.latest_invoice
    waiting = account.v1.subscriptions.resume(trial.id)
    assert waiting.status == "paused"
    assert waiting.pending_update is not None
    assert waiting.pending_update.expires_at == START + 2 * DAY + 23 * 3600
    assert waiting.latest_invoice != trial.latest_invoice


def test_trial_can_be_extended(account: StripeAccount, test_clock: str) -> None:
    trial = begin(account, test_clock)
    longer = account.v1.subscriptions.update(trial.id, {"trial_end": TRIAL_END + 7 * DAY})
    assert (longer.trial_end, period(longer)[1]) == (TRIAL_END + 7 * DAY, TRIAL_END + 7 * DAY)
    account.advance(test_clock, TRIAL_END + DAY)
    assert account.again(trial).status == "trialing"
    account.advance(test_clock, TRIAL_END + 8 * DAY)
    assert account.again(trial).status == "active"


@pytest.mark.parametrize(
    "wrong",
    [
        {"trial_end": START - 1},
        {"trial_end": TRIAL_END, "trial_from_plan": True},
        {"trial_end": START + 731 * DAY},
        {"trial_period_days": 10**9},
        {"trial_period_days": -3},
    ],
)
def test_invalid_trial_is_refused(account: StripeAccount, wrong: Any) -> None:
    customer = account.customer()
    with pytest.raises(stripe.InvalidRequestError) as refused:
        account.subscribe(customer.id, account.price(3000).id, **wrong)
    assert refused.value.param in wrong


def test_usage_in_a_trial_is_free(account: StripeAccount, test_clock: str) -> None:
    price = account.metered(account.meter().id)
    customer = account.on_clock(test_clock)
    items: Any = [{"price": account.price(3000).id}, {"price": price.id}]
    trial = account.v1.subscriptions.create({"customer": customer.id, "items": items, "trial_end": TRIAL_END})
    account.use(customer.id, 40)
    account.advance(test_clock, TRIAL_END + 2 * DRAFT_SECONDS)
    assert account.invoice(account.again(trial)).total == 3000
    account.use(customer.id, 7)
    account.advance(test_clock, TRIAL_END + MONTH + DAY)
    lines = plain(account.invoice(account.again(trial)))["lines"]["data"]
    assert [(line["quantity"], line["amount"]) for line in lines] == [(1, 3000), (7, 70)]


def test_running_subscription_begins_a_trial(account: StripeAccount, test_clock: str) -> None:
    customer = account.on_clock(test_clock, None)
    free = account.subscribe(customer.id, account.price(0).id)
    account.advance(test_clock, START + DAY)
    ends: Any = {"trial_end": TRIAL_END, "proration_behavior": "none", **without_card("cancel")}
    account.swap(free, account.price(3000).id, **ends)
    trial = account.again(free)
    assert (trial.status, trial.trial_start, trial.trial_end) == ("trialing", START + DAY, TRIAL_END)
    assert (period(trial), account.pending(customer.id)) == ((START + DAY, TRIAL_END), [])
    account.advance(test_clock, TRIAL_END + 1)
    assert account.again(free).status == "canceled"


def test_ending_a_trial_on_a_free_price_needs_no_card(account: StripeAccount, test_clock: str) -> None:
    trial = begin(account, test_clock, card=None, **without_card("cancel"))
    ends: Any = {"trial_end": "now", "proration_behavior": "none", **without_card("create_invoice")}
    account.swap(trial, account.price(0).id, **ends)
    free = account.again(trial)
    assert (free.status, account.invoice(free).total) == ("active", 0)
    account.advance(test_clock, TRIAL_END + MONTH)
    assert account.again(trial).status == "active"


def test_sent_invoices_and_cancel_without_a_card_are_refused(account: StripeAccount, test_clock: str) -> None:
    sent: Any = {"collection_method": "send_invoice", "days_until_due": 30}
    with pytest.raises(stripe.InvalidRequestError, match="missing_payment_method"):
        begin(account, test_clock, **without_card("cancel"), **sent)
    trial = begin(account, test_clock, **without_card("cancel"))
    with pytest.raises(stripe.InvalidRequestError, match="missing_payment_method"):
        account.v1.subscriptions.update(trial.id, sent)
