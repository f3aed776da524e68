"""What the sandbox answers fits the pinned SDK's classes, and has the keys that Stripe was recorded to send."""

import json
from pathlib import Path
from typing import Any

import pytest
import stripe

from tests.contract.shapes import differences
from tests.sandbox.support import Account, Json, plain

RECORDED: dict[str, Any] = json.loads(Path(__file__).with_name("recorded_keys.json").read_text())
CLASSES: dict[str, type[stripe.StripeObject]] = {
    "account": stripe.Account,
    "charge": stripe.Charge,
    "billing.meter": stripe.billing.Meter,
    "billing.meter_event": stripe.billing.MeterEvent,
    "billing.meter_event_adjustment": stripe.billing.MeterEventAdjustment,
    "billing.meter_event_summary": stripe.billing.MeterEventSummary,
    "customer": stripe.Customer,
    "customer_balance_transaction": stripe.CustomerBalanceTransaction,
    "event": stripe.Event,
    "invoice": stripe.Invoice,
    "invoice_payment": stripe.InvoicePayment,
    "invoiceitem": stripe.InvoiceItem,
    "line_item": stripe.InvoiceLineItem,
    "payment_intent": stripe.PaymentIntent,
    "payment_method": stripe.PaymentMethod,
    "price": stripe.Price,
    "product": stripe.Product,
    "setup_intent": stripe.SetupIntent,
    "subscription": stripe.Subscription,
    "subscription_item": stripe.SubscriptionItem,
    "tax_id": stripe.TaxId,
    "webhook_endpoint": stripe.WebhookEndpoint,
}


@pytest.fixture
def lived(account: Account) -> Account:
    """An account in which about everything has happened."""
    used(account)
    v1 = account.v1
    v1.webhook_endpoints.create({"url": "http://127.0.0.1:9/closed", "enabled_events": ["charge.failed"]})
    customer = account.customer()
    v1.setup_intents.confirm(
        v1.setup_intents.create({"customer": customer.id}).id, {"payment_method": "pm_card_mastercard"}
    )
    v1.customers.tax_ids.create(customer.id, {"type": "eu_vat", "value": "DE123456789"})
    v1.customers.update(customer.id, {"address": {"line1": "1 Main St", "country": "DE"}, "name": "Owner"})
    free, plus, dear = account.price(0), account.price(3000), account.price(9000)
    subscription = account.subscribe(customer.id, free.id)
    account.swap(subscription, plus.id, 2)
    account.swap(subscription, dear.id, proration_behavior="always_invoice")
    account.swap(subscription, free.id, proration_behavior="always_invoice")
    other = account.subscribe(customer.id, plus.id)
    account.give_card(customer.id, "pm_card_chargeCustomerFail")
    v1.products.update(str(plus.product), {"description": "more"})
    parked = {"proration_behavior": "always_invoice", "payment_behavior": "pending_if_incomplete"}
    account.swap(other, dear.id, 5, **parked)
    account.subscribe(customer.id, dear.id, payment_behavior="allow_incomplete")
    v1.invoice_items.create({"customer": customer.id, "amount": 700, "currency": "usd", "description": "extra"})
    v1.subscriptions.update(subscription.id, {"cancel_at_period_end": True})
    ended = account.subscribe(account.customer().id, plus.id)
    v1.subscriptions.cancel(ended.id, {"prorate": True, "invoice_now": True})
    v1.customers.delete(account.customer().id)
    return account


def used(account: Account) -> None:
    """Usage at prices with and without tiers, billed as items go and as a subscription ends."""
    v1, meter, customer = account.v1, account.meter().id, account.customer().id
    v1.billing.meters.update(meter, {"display_name": "Calls"})
    tiers = [{"up_to": 5, "unit_amount": 1, "flat_amount": 500}, {"up_to": "inf", "unit_amount_decimal": "0.5"}]
    tiered = account.metered(meter, billing_scheme="tiered", tiers_mode="graduated", tiers=tiers)
    params: Any = {"items": [{"price": price.id} for price in (account.price(900), tiered, account.metered(meter))]}
    subscription = v1.subscriptions.create(params | {"customer": customer})
    account.use(customer, 70)
    last = subscription.items.data[2].id
    v1.subscriptions.update(subscription.id, {"items": [{"id": last, "deleted": True}]})
    v1.subscriptions.cancel(subscription.id, {"invoice_now": True})
    account.subscribe(customer, tiered.id)


def unseen(lived: Account, kind: str) -> Json:
    """What no event tells of."""
    if kind == "account":
        return plain(lived.v1.accounts.retrieve_current())
    billing, customer = lived.v1.billing, lived.customer().id
    event = lived.use(customer, 1)
    if kind == "billing.meter_event":
        return plain(event)
    if kind == "billing.meter_event_adjustment":
        cancel: Any = {"event_name": "api_calls", "type": "cancel", "cancel": {"identifier": event.identifier}}
        return plain(billing.meter_event_adjustments.create(cancel))
    times: Any = {"customer": customer, "start_time": 0, "end_time": 60}
    return plain(billing.meters.event_summaries.list(billing.meters.list().data[0].id, times).data[0])


def every(lived: Account, kind: str) -> list[Json]:
    """All objects of a kind, and the states of it that events tell of."""
    snapshots = [plain(event)["data"]["object"] for event in events(lived)]
    found = [snapshot for snapshot in snapshots if snapshot["object"] == kind]
    if kind == "account" or kind.startswith("billing.meter_event"):
        found.append(unseen(lived, kind))
    elif kind == "customer_balance_transaction":
        for customer in lived.v1.customers.list().data:
            found += [plain(row) for row in lived.v1.customers.balance_transactions.list(customer.id).data]
    elif kind == "event":
        found = [plain(event) for event in events(lived)]
    elif kind == "line_item":
        found = [line for invoice in every(lived, "invoice") for line in invoice["lines"]["data"]]
    elif kind == "subscription_item":
        found = [item for row in every(lived, "subscription") for item in row["items"]["data"]]
    elif kind == "webhook_endpoint":
        found = [plain(row) for row in lived.v1.webhook_endpoints.list().data]
    elif kind == "invoice":
        found += previews(lived)
    return found


def events(lived: Account) -> list[stripe.Event]:
    return list(lived.v1.events.list({"limit": 100}).auto_paging_iter())


def previews(lived: Account) -> list[Json]:
    rows = lived.v1.subscriptions.list({"limit": 100}).data
    return [plain(lived.v1.invoices.create_preview({"subscription": row.id})) for row in rows]


@pytest.mark.parametrize("kind", CLASSES)
def test_every_object_has_every_field_of_its_class_and_no_other(lived: Account, kind: str) -> None:
    objects = every(lived, kind)
    assert objects
    assert [problem for obj in objects for problem in differences(obj, CLASSES[kind], kind)] == []


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"current_period_end": 1}, "subscription.current_period_end: unknown to the SDK"),
        ({"status": "fine"}, "subscription.status: 'fine' is none of"),
        ({"created": "today"}, "subscription.created: 'today' is no <class 'int'>"),
        ({"customer": None}, "subscription.customer: null, and the SDK says it never is"),
    ],
)
def test_the_comparison_itself_finds_faults(lived: Account, change: Json, problem: str) -> None:
    subscription = every(lived, "subscription")[0] | change
    assert any(found.startswith(problem) for found in differences(subscription, stripe.Subscription, "subscription"))


def test_every_kind_that_events_tell_of_is_checked(lived: Account) -> None:
    told = {event.data.object.object for event in events(lived)}
    assert told <= CLASSES.keys()


def test_statuses_of_all_kinds_were_seen(lived: Account) -> None:
    assert {"active", "canceled", "incomplete"} <= {row["status"] for row in every(lived, "subscription")}
    assert {"draft", "open", "paid"} <= {row["status"] for row in every(lived, "invoice")}


def missing(recorded: Any, found: Any, path: str = "") -> list[str]:
    """Where the keys of two objects differ, as far as both have them."""
    if isinstance(recorded, dict) and isinstance(found, dict):
        if path.endswith(".metadata"):
            return []
        other = [f"{path}.{key}" for key in recorded.keys() ^ found.keys()]
        return other + [
            row for key in recorded.keys() & found.keys() for row in missing(recorded[key], found[key], f"{path}.{key}")
        ]
    if isinstance(recorded, list) and isinstance(found, list) and recorded and found:
        return missing(recorded[0], found[0], f"{path}[]")
    return []


@pytest.mark.parametrize("kind", RECORDED)
def test_the_keys_are_those_that_were_recorded(lived: Account, kind: str) -> None:
    found = recorded_counterpart(lived, kind)
    assert missing(RECORDED[kind], found, kind) == []


def recorded_counterpart(lived: Account, kind: str) -> Json:
    if kind == "invoice":
        return next(row for row in every(lived, "invoice") if row["billing_reason"] == "subscription_create")
    if kind == "proration_line":
        lines = every(lived, "line_item")
        return next(line for line in lines if line["amount"] < 0)
    if kind.startswith("invoiceitem"):
        items = [plain(row) for row in lived.v1.invoice_items.list({"limit": 100}).data if row.proration]
        return invoice_item_like(lived, items, kind)
    if kind == "event":
        return {key: value for key, value in every(lived, "event")[0].items() if key != "data"}
    return every(lived, kind)[0]


def invoice_item_like(lived: Account, items: list[Json], kind: str) -> Json:
    if kind == "invoiceitem_credit":
        return next(item for item in items if item["amount"] < 0 and on_an_invoice(item))
    if kind == "invoiceitem_debit":
        return next(item for item in items if item["amount"] > 0)
    subscription = lived.subscribe(lived.customer().id, lived.price(1000).id)
    lived.v1.subscriptions.cancel(subscription.id, {"prorate": True})
    return plain(lived.v1.invoice_items.list({"limit": 1}).data[0])


def on_an_invoice(item: Json) -> bool:
    return bool(item["proration_details"]["credited_items"]["type"] == "invoice_line_items")
