"""New subscriptions, whose first invoice is charged immediately."""

from gateway.sandbox import pricing
from gateway.sandbox.billing import (
    billing_mode,
    invoicing,
    on_file,
    one_time,
    payment,
    scheduled_end,
    sending,
    trials,
    usage,
)
from gateway.sandbox.billing.cycle import parts_of, period_at
from gateway.sandbox.billing.items import price_of, refuse_doubles, with_price
from gateway.sandbox.errors import invalid
from gateway.sandbox.json_types import Json
from gateway.sandbox.objects.subscription import build, build_item, items_of, metered, with_items
from gateway.sandbox.work import Work


def subscribe(work: Work, params: Json) -> Json:
    """Create a subscription and charge its first invoice.

    If the charge fails, the subscription stays ``incomplete``. With ``error_if_incomplete``, nothing is created. A sent
    invoice stays a draft for an hour, and its subscription is active immediately
    (https://docs.stripe.com/billing/collection-method).
    """
    subscription = planned(work, params)
    subscription |= scheduled_end.requested(work, subscription, params)
    trial = subscription["status"] == "trialing"
    sent = sending.is_sent(subscription)
    extra = params.get("add_invoice_items", [])
    one_time.add(work, subscription, extra)
    if trial:
        subscription |= trials.ask_for_card(work, subscription)
    elif not extra and all(metered(item["price"]) for item in items_of(subscription)):
        _keep_items(work, subscription)
        return work.add(subscription | {"status": "active"})
    due = _amount_due_now(work, subscription)
    behavior = params.get("payment_behavior", "allow_incomplete")
    card = None
    if due and not sent and behavior != "default_incomplete":
        # Pending items are charged immediately, even in a trial. Without a card the trial's invoice stays open, which
        # is an inference.
        found = on_file.method if trial else payment.card_for
        card = found(work, subscription, subscription["customer"])
    if card and behavior == "error_if_incomplete":
        payment.refuse_incomplete(work, card)
    invoice_id = work.ids.new("in")
    status = subscription["status"] if trial or (due and not sent) else "active"
    subscription = work.add(subscription | {"status": status, "latest_invoice": invoice_id})
    _keep_items(work, subscription)
    invoice = first_invoice(work, subscription, invoice_id)
    if not sent:
        invoice = invoicing.finalize(work, invoice)
    if card:
        payment.charge(work, invoice, card)
    return work.get("subscription", subscription["id"])


def _amount_due_now(work: Work, subscription: Json) -> int:
    """Return the amount to charge now for the first period, which a trial makes free, and for pending items."""
    total = sum(item["amount"] for item in invoicing.pending_items(work, subscription, loose=True))
    if subscription["status"] != "trialing":
        for item in items_of(subscription):
            period = (item["current_period_start"], item["current_period_end"])
            total += pricing.total(parts_of(work, subscription, item, period))
    balance = work.get("customer", subscription["customer"])["balance"]
    due, _left = invoicing.settle(total, balance, subscription["currency"])
    return due


def planned(work: Work, params: Json) -> Json:
    """Return the subscription that the request would create, without storing it."""
    customer = work.get("customer", params["customer"], param="customer")
    asked = [with_price(item) for item in params["items"]]
    prices = [price_of(work, item, f"items[{index}][price]") for index, item in enumerate(asked)]
    refuse_doubles(prices)
    currency = prices[0]["currency"]
    if customer["currency"] not in (None, currency):
        text = (
            "You cannot combine currencies on a single customer. This customer has an active subscription, "
            f"subscription schedule, discount, quote, or invoice item with currency {customer['currency']}"
        )
        raise invalid(text)
    subscription = build(work, params, currency=currency) | trials.first(work, params)
    subscription |= sending.requested(subscription, params)
    subscription["billing_mode"] = billing_mode.requested(work, params)
    if any(metered(price) for price in prices):
        billing_mode.refuse_in_classic(subscription, "metered prices")
    items = []
    for price, item in zip(prices, asked, strict=True):
        period = _first_period(subscription, params, price)
        items.append(
            build_item(work, subscription["id"], price, item.get("quantity"), period, item.get("metadata") or {})
        )
    return subscription | with_items(subscription, items)


def first_invoice(work: Work, subscription: Json, invoice_id: str) -> Json:
    """Draft the invoice of the first period."""
    periods = {
        item["id"]: (item["current_period_start"], item["current_period_end"]) for item in items_of(subscription)
    }
    return invoicing.draft(
        work,
        subscription,
        reason="subscription_create",
        pending=invoicing.pending_items(work, subscription, loose=True),
        window=(work.now, work.now),
        lines=invoicing.period_lines(work, invoice_id, subscription, periods),
        invoice_id=invoice_id,
    )


def _first_period(subscription: Json, params: Json, price: Json) -> tuple[int, int]:
    ends = params.get("cancel_at")
    target = subscription | {"cancel_at": ends if isinstance(ends, int) else None}
    return period_at(target, price, subscription["created"])


def _keep_items(work: Work, subscription: Json) -> None:
    """Note which subscription owns the items, and count their usage from now on."""
    usage.restart(work, [], items_of(subscription))
    for item in items_of(subscription):
        work.note("item_owner", item["id"], {"subscription": subscription["id"]})
