"""The debit that each proration credit names, on invoice items, invoice lines and previews."""

from typing import Any

import pytest
import stripe

from tests.support.clock import MONTH, START, ManualClock
from tests.support.json_types import Json
from tests.support.stripe_account import StripeAccount, plain


@pytest.fixture
def subscription(account: StripeAccount, clock: ManualClock) -> stripe.Subscription:
    """Return a subscription of 30.00 a month, a third of which is over."""
    made = account.subscribe(account.customer().id, account.price(3000).id)
    clock.now += MONTH // 3
    return made


def pending(account: StripeAccount, subscription: stripe.Subscription) -> list[Json]:
    return [plain(row) for row in account.pending(str(subscription.customer))]


def lines_of(invoice: stripe.Invoice) -> list[Json]:
    found: list[Json] = plain(invoice)["lines"]["data"]
    return found


def credited(line: Json) -> Json | None:
    found: Json | None = line["parent"]["subscription_item_details"]["proration_details"]["credited_items"]
    return found


def named_by(line: Json) -> Json:
    """Return what a credit of this line names."""
    return {"invoice": line["invoice"], "invoice_line_items": [line["id"]]}


def test_pending_credit_names_the_billed_line(account: StripeAccount, subscription: stripe.Subscription) -> None:
    (billed,) = lines_of(account.invoice(subscription))
    account.swap(subscription, account.price(6000).id)
    credit, debit = pending(account, subscription)
    details = {"invoice_line_item_details": named_by(billed), "type": "invoice_line_items"}
    assert credit["proration_details"]["credited_items"] == details
    assert debit["proration_details"]["credited_items"] is None


def test_line_of_a_credit_names_the_billed_line(account: StripeAccount, subscription: stripe.Subscription) -> None:
    (billed,) = lines_of(account.invoice(subscription))
    after = account.swap(subscription, account.price(6000).id, proration_behavior="always_invoice")
    credit, debit = lines_of(account.invoice(after))
    assert (credited(credit), credited(debit)) == (named_by(billed), None)


def test_credit_of_a_pending_debit_names_the_item(account: StripeAccount, subscription: stripe.Subscription) -> None:
    account.swap(subscription, account.price(6000).id)
    debit = pending(account, subscription)[1]
    account.swap(subscription, account.price(9000).id)
    credit = next(row for row in pending(account, subscription) if row["amount"] == -debit["amount"])
    assert credit["proration_details"]["credited_items"] == {"invoice_item": debit["id"], "type": "invoice_item"}


def test_credit_names_a_debit_on_the_same_invoice(account: StripeAccount, subscription: stripe.Subscription) -> None:
    account.swap(subscription, account.price(6000).id)
    after = account.swap(subscription, account.price(9000).id, proration_behavior="always_invoice")
    lines = lines_of(account.invoice(after))
    debit = next(line for line in lines if line["amount"] == 4000)
    assert credited(next(line for line in lines if line["amount"] == -4000)) == named_by(debit)


def test_each_debit_gets_its_own_credit(account: StripeAccount, subscription: stripe.Subscription) -> None:
    """The dear price was billed for the last third only. So two debits cover the time after the first third."""
    cheap = subscription.items.data[0].price.id
    dear: Any = {"proration_date": START + MONTH * 2 // 3, "proration_behavior": "always_invoice"}
    (first,) = lines_of(account.invoice(subscription))
    upgraded = account.swap(subscription, account.price(6000).id, **dear)
    _credit, second = lines_of(account.invoice(upgraded))
    account.swap(subscription, cheap)
    found = {row["amount"]: row["proration_details"]["credited_items"] for row in pending(account, subscription)}
    assert sorted(found) == [-2000, -1000, 2000]
    assert found[-1000]["invoice_line_item_details"] == named_by(first)
    assert found[-2000]["invoice_line_item_details"] == named_by(second)


@pytest.mark.parametrize("behavior", ["always_invoice", "create_prorations"])
def test_preview_names_the_billed_line(
    account: StripeAccount, subscription: stripe.Subscription, behavior: str
) -> None:
    (billed,) = lines_of(account.invoice(subscription))
    preview = previewed(account, subscription, 6000, behavior)
    assert credited(next(line for line in preview if line["amount"] == -2000)) == named_by(billed)


@pytest.mark.parametrize("behavior", ["always_invoice", "create_prorations"])
def test_preview_names_its_own_line_for_a_pending_debit(
    account: StripeAccount, subscription: stripe.Subscription, behavior: str
) -> None:
    account.swap(subscription, account.price(6000).id)
    preview = previewed(account, subscription, 9000, behavior)
    debit = next(line for line in preview if line["amount"] == 4000)
    credit = next(line for line in preview if line["amount"] == -4000)
    assert debit["invoice"].startswith("upcoming_in_")
    assert credited(credit) == named_by(debit)


def previewed(account: StripeAccount, subscription: stripe.Subscription, amount: int, behavior: str) -> list[Json]:
    items = [{"id": subscription.items.data[0].id, "price": account.price(amount).id}]
    details: Any = {"items": items, "proration_behavior": behavior}
    found = account.v1.invoices.create_preview({"subscription": subscription.id, "subscription_details": details})
    return lines_of(found)


def test_credit_of_a_deleted_debit_names_nothing(
    account: StripeAccount, clock: ManualClock, subscription: stripe.Subscription
) -> None:
    account.swap(subscription, account.price(6000).id)
    debit = pending(account, subscription)[1]
    account.swap(subscription, account.price(9000).id)
    account.v1.invoice_items.delete(debit["id"])
    clock.now += MONTH
    lines = lines_of(account.invoice(account.again(subscription)))
    assert credited(next(line for line in lines if line["amount"] == -debit["amount"])) is None
