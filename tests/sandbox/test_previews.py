"""Previews, which show to the cent what a change or the next renewal then charges."""

from typing import Any

import pytest
import stripe
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.sandbox import Sandbox
from tests.support.clock import DAY, MONTH, START, ManualClock
from tests.support.json_types import Json
from tests.support.stripe_account import StripeAccount, plain

AMOUNTS = st.integers(0, 200_000)
QUANTITIES = st.integers(1, 20)


def shown(invoice: stripe.Invoice) -> list[Json]:
    fields = ("amount", "description", "quantity", "period", "currency")
    return [{key: plain(line)[key] for key in fields} for line in invoice.lines.data]


def details(subscription: stripe.Subscription, price: str, quantity: int, **more: object) -> Json:
    items = [{"id": subscription.items.data[0].id, "price": price, "quantity": quantity}]
    return {"subscription": subscription.id, "subscription_details": {"items": items, **more}}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    amounts=st.tuples(AMOUNTS, AMOUNTS),
    quantities=st.tuples(QUANTITIES, QUANTITIES),
    elapsed=st.integers(0, MONTH - 8),
    ahead=st.integers(0, MONTH),
)
def test_always_invoice_charges_what_its_preview_shows(
    sandbox: Sandbox,
    clock: ManualClock,
    amounts: tuple[int, int],
    quantities: tuple[int, int],
    elapsed: int,
    ahead: int,
) -> None:
    account = StripeAccount(sandbox)
    clock.now = START
    customer = account.customer()
    subscription = account.subscribe(customer.id, account.price(amounts[0]).id, quantities[0])
    wanted = account.price(amounts[1])
    clock.now = START + elapsed
    pinned = {"proration_behavior": "always_invoice", "proration_date": min(START + ahead, START + MONTH)}

    preview = account.v1.invoices.create_preview(details(subscription, wanted.id, quantities[1], **pinned))  # type: ignore[arg-type]  # a plain dict
    clock.now += 7
    after = account.swap(subscription, wanted.id, quantities[1], **pinned)

    if after.latest_invoice == subscription.latest_invoice:
        assert [line.amount for line in preview.lines.data if line.parent and is_proration(line)] == []
        return
    invoice = account.invoice(after)
    assert shown(invoice) == shown(preview)
    assert (invoice.total, invoice.amount_due) == (preview.total, preview.amount_due)
    assert (invoice.starting_balance, invoice.ending_balance) == (preview.starting_balance, preview.ending_balance)


def is_proration(line: stripe.InvoiceLineItem) -> bool:
    item = plain(line)["parent"]["subscription_item_details"]
    return bool(item["proration"])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(amounts=st.tuples(AMOUNTS, AMOUNTS), quantity=QUANTITIES, elapsed=st.integers(0, MONTH - 8))
def test_create_prorations_adds_what_its_preview_shows(
    sandbox: Sandbox, clock: ManualClock, amounts: tuple[int, int], quantity: int, elapsed: int
) -> None:
    account = StripeAccount(sandbox)
    clock.now = START
    customer = account.customer()
    subscription = account.subscribe(customer.id, account.price(amounts[0]).id)
    wanted = account.price(amounts[1])
    clock.now = START + elapsed
    pinned = {"proration_behavior": "create_prorations", "proration_date": int(clock.now)}

    preview = account.v1.invoices.create_preview(details(subscription, wanted.id, quantity, **pinned))  # type: ignore[arg-type]  # a plain dict
    account.swap(subscription, wanted.id, quantity, **pinned)

    *prorations, renewal = preview.lines.data
    assert [line.amount for line in prorations] == [row.amount for row in account.pending(customer.id)]
    assert renewal.amount == amounts[1] * quantity
    later = account.v1.invoices.create_preview({"subscription": subscription.id})
    assert (later.total, shown(later)) == (preview.total, shown(preview))


def test_next_invoice_covers_the_next_calendar_month(account: StripeAccount) -> None:
    subscription = account.subscribe(account.customer().id, account.price(2000).id)

    preview = account.v1.invoices.create_preview({"subscription": subscription.id})

    end = subscription.items.data[0].current_period_end
    assert preview.id.startswith("upcoming_in_")
    assert (preview.billing_reason, preview.status, preview.number) == ("upcoming", "draft", None)
    assert (preview.period_start, preview.period_end, preview.created) == (START, end, end)
    assert preview.next_payment_attempt == end + 3600
    (line,) = preview.lines.data
    assert line.period.start == end
    assert line.period.end == end + 31 * 86400  # 21 October to 21 November


def test_preview_stores_nothing(account: StripeAccount) -> None:
    customer = account.customer()
    subscription = account.subscribe(customer.id, account.price(2000).id)
    dear = account.price(9000)
    events = [event.id for event in account.events()]

    for behavior in ("always_invoice", "create_prorations", "none"):
        params = details(subscription, dear.id, 4, proration_behavior=behavior)
        account.v1.invoices.create_preview(params)  # type: ignore[arg-type]  # a plain dict

    assert plain(account.v1.subscriptions.retrieve(subscription.id)) == plain(subscription)
    assert account.pending(customer.id) == []
    assert [event.id for event in account.events()] == events


def test_cancellation_preview_shows_the_credit(account: StripeAccount, clock: ManualClock) -> None:
    subscription = account.subscribe(account.customer().id, account.price(3000).id)
    clock.now += MONTH // 3
    preview = account.v1.invoices.create_preview(
        {"subscription": subscription.id, "subscription_details": {"cancel_now": True}}
    )
    assert [line.amount for line in preview.lines.data] == [-2000]


def test_canceled_subscription_has_no_upcoming_invoice(account: StripeAccount) -> None:
    subscription = account.subscribe(account.customer().id, account.price(3000).id)
    account.v1.subscriptions.cancel(subscription.id)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        account.v1.invoices.create_preview({"subscription": subscription.id})
    assert (refused.value.code, refused.value.http_status) == ("invoice_upcoming_none", 404)


def test_preview_of_a_customer_is_of_its_next_renewal(account: StripeAccount) -> None:
    customer = account.customer()
    account.subscribe(customer.id, account.price(90_000, interval="year").id)
    account.subscribe(customer.id, account.price(300, interval="week").id)
    assert account.v1.invoices.create_preview({"customer": customer.id}).total == 300


def test_customer_without_active_subscription_has_no_preview(account: StripeAccount, test_clock: str) -> None:
    customer = account.on_clock(test_clock, "pm_card_authenticationRequired")
    expired = account.subscribe(customer.id, account.price(1000).id)
    account.advance(test_clock, START + 2 * DAY)
    wanted: list[Any] = [{"customer": customer.id}, {"subscription": expired.id}]
    for named in wanted:
        with pytest.raises(stripe.InvalidRequestError, match="No upcoming invoices") as refused:
            account.v1.invoices.create_preview(named)
        assert refused.value.code == "invoice_upcoming_none"


def test_next_invoice_is_that_of_the_period_which_ends_first(sandbox: Sandbox, clock: ManualClock) -> None:
    account = StripeAccount(sandbox)
    clock.now = START
    customer = account.customer()
    used = account.metered(account.meter().id)
    items: Any = [{"price": account.price(12_000, interval="year").id}, {"price": used.id}]
    subscription = account.v1.subscriptions.create({"customer": customer.id, "items": items})
    clock.now = START + MONTH + 9 * DAY
    preview = account.v1.invoices.create_preview({"subscription": subscription.id})
    assert [line.amount for line in preview.lines.data] == [0]
    clock.now = START + 2 * MONTH + 9 * DAY
    renewal = account.invoice(account.again(subscription))
    assert (renewal.period_start, renewal.period_end) == (preview.period_start, preview.period_end)
    assert preview.period_end - preview.period_start < 32 * DAY
