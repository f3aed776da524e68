"""Records the second story, with only the types that the first story lacks.

Time passes, payments fail and subscriptions pause.
"""

from typing import Any

from tests.support.clock import DAY, MONTH
from tests.support.json_types import Json
from tests.support.stripe_account import StripeAccount, plain

TYPES = [
    "customer.subscription.paused",
    "customer.subscription.pending_update_applied",
    "customer.subscription.pending_update_expired",
    "customer.subscription.resumed",
    "customer.subscription.trial_will_end",
    "invoice.finalized",
    "invoice.marked_uncollectible",
    "invoice.payment_action_required",
    "invoice.payment_failed",
    "invoice.payment_succeeded",
    "invoice.sent",
    "invoice.voided",
    "invoice_payment.paid",
    "payment_intent.processing",
    "setup_intent.succeeded",
]


def record_year(account: StripeAccount, start: int) -> dict[str, Json]:
    """Return the first event of each type."""
    v1 = account.v1
    clock = v1.test_helpers.test_clocks.create({"frozen_time": start}).id
    ours: Any = {"test_clock": clock, "metadata": {"organization_id": "org_1"}}
    price, dearer = account.price(1000).id, account.price(5000).id
    without_card = v1.customers.create(ours).id
    ending = {"end_behavior": {"missing_payment_method": "pause"}}
    account.subscribe(without_card, price, trial_period_days=7, trial_settings=ending)
    account.advance(clock, start + 8 * DAY)

    customer = v1.customers.create(ours).id
    account.give_card(customer, "pm_card_visa")
    subscription = account.subscribe(customer, price)
    v1.subscriptions.pause(subscription.id, {"type": "subscription"})
    v1.subscriptions.resume(subscription.id)
    waiting: Any = {"proration_behavior": "always_invoice", "payment_behavior": "pending_if_incomplete"}
    account.give_card(customer, "pm_card_authenticationRequired")
    account.swap(subscription, dearer, **waiting)
    account.advance(clock, start + 10 * DAY)
    parked = account.swap(subscription, dearer, 2, **waiting)
    account.give_card(customer, "pm_card_visa")
    v1.invoices.pay(account.invoice(parked).id)
    account.give_card(customer, "pm_card_chargeCustomerFail")
    account.advance(clock, start + 9 * DAY + MONTH + DAY)

    account.give_card(customer, "pm_card_visa")
    intent = v1.setup_intents.create({"customer": customer})
    v1.setup_intents.confirm(intent.id, {"payment_method": "pm_card_visa"})
    for end in (v1.invoices.void_invoice, v1.invoices.mark_uncollectible):
        v1.invoice_items.create({"customer": customer, "amount": 700, "currency": "usd"})
        by_hand: Any = {"customer": customer, "collection_method": "send_invoice", "days_until_due": 30}
        invoice = v1.invoices.create(by_hand | {"pending_invoice_items_behavior": "include"})
        v1.invoices.send_invoice(invoice.id)
        end(invoice.id)
    account.subscribe(account.on_clock(clock, "pm_usBankAccount_success").id, price)
    # The list starts with the newest event, so the oldest event of each type remains.
    first: dict[str, Json] = {
        event.type: plain(event) for event in v1.events.list({"limit": 100}).auto_paging_iter() if event.type in TYPES
    }
    return {name: first[name] for name in TYPES}
