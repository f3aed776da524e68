"""A new subscription, and its first invoice charged at once."""

from gateway.sandbox import pricing
from gateway.sandbox.billing import invoicing, ledger, payment, usage
from gateway.sandbox.billing.items import price_of, refuse_doubles
from gateway.sandbox.errors import invalid
from gateway.sandbox.json_types import Json
from gateway.sandbox.objects.subscription import build, build_item, items_of, metered, with_items
from gateway.sandbox.periods import containing
from gateway.sandbox.work import Work


def subscribe(work: Work, params: Json) -> Json:
    """Create it. What cannot be paid leaves it ``incomplete``, or, with ``error_if_incomplete``, leaves nothing."""
    subscription = planned(work, params)
    if not any(not metered(item["price"]) for item in items_of(subscription)):
        _keep_items(work, subscription)
        return work.add(subscription | {"status": "active"})
    due = _due_at_once(work, subscription)
    behavior = params.get("payment_behavior", "allow_incomplete")
    card = None
    if due and behavior != "default_incomplete":
        card = payment.card_for(work, subscription, subscription["customer"])
    if card and behavior == "error_if_incomplete":
        payment.refuse_incomplete(card)
    invoice_id = work.ids.new("in")
    status = "incomplete" if due else "active"
    subscription = work.add(subscription | {"status": status, "latest_invoice": invoice_id})
    _keep_items(work, subscription)
    invoice = invoicing.finalize(work, first_invoice(work, subscription, invoice_id))
    if card:
        payment.charge(work, invoice, card)
    return work.get("subscription", subscription["id"])


def _due_at_once(work: Work, subscription: Json) -> int:
    """The first period, and what was waiting for the customer's next invoice."""
    waiting = invoicing.pending_items(work, subscription, loose=True)
    total = sum(pricing.total(ledger.parts(work, item)) for item in items_of(subscription))
    total += sum(item["amount"] for item in waiting)
    balance = work.get("customer", subscription["customer"])["balance"]
    due, _left = invoicing.settle(total, balance, subscription["currency"])
    return due


def planned(work: Work, params: Json) -> Json:
    """The subscription as it would be, not kept yet."""
    customer = work.get("customer", params["customer"], param="customer")
    asked = params["items"]
    prices = [price_of(work, item, f"items[{index}][price]") for index, item in enumerate(asked)]
    refuse_doubles(prices)
    currency = prices[0]["currency"]
    if customer["currency"] not in (None, currency):
        text = (
            "You cannot combine currencies on a single customer. This customer has an active subscription, "
            f"subscription schedule, discount, quote, or invoice item with currency {customer['currency']}"
        )
        raise invalid(text)
    subscription = build(work, params, currency=currency)
    items = []
    for price, item in zip(prices, asked, strict=True):
        period = containing(work.now, price["recurring"], work.now)
        items.append(
            build_item(work, subscription["id"], price, item.get("quantity"), period, item.get("metadata") or {})
        )
    return subscription | with_items(subscription, items)


def first_invoice(work: Work, subscription: Json, invoice_id: str) -> Json:
    """The draft of the first period."""
    periods = {
        item["id"]: (item["current_period_start"], item["current_period_end"]) for item in items_of(subscription)
    }
    window = (work.now, work.now)
    return invoicing.draft(
        work,
        subscription,
        reason="subscription_create",
        pending=invoicing.pending_items(work, subscription, loose=True),
        window=window,
        periods=periods,
        invoice_id=invoice_id,
    )


def _keep_items(work: Work, subscription: Json) -> None:
    """Remember whose the items are, and that usage counts from now on."""
    usage.restart(work, [], items_of(subscription))
    for item in items_of(subscription):
        work.note("item_owner", item["id"], {"subscription": subscription["id"]})
