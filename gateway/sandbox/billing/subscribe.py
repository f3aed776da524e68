"""New subscriptions, whose first invoice is charged immediately."""

from gateway.sandbox.billing import (
    billing_mode,
    discounts,
    invoicing,
    on_file,
    one_time,
    payment,
    pending_interval,
    redemption,
    scheduled_end,
    sending,
    taxes,
    trials,
    usage,
)
from gateway.sandbox.billing.cycle import period_at
from gateway.sandbox.billing.items import price_of, refuse_doubles, terms, with_price
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
        return _add(work, subscription | {"status": "active"})
    invoice_id = work.ids.new("in")
    due = first_invoice(work.trial(), subscription, invoice_id)["amount_due"]
    behavior = params.get("payment_behavior", "allow_incomplete")
    card = None
    if due and not sent and behavior != "default_incomplete":
        # Pending items are charged immediately, even in a trial. Without a card the trial's invoice stays open, which
        # is an inference.
        found = on_file.method if trial else payment.card_for
        card = found(work, subscription, subscription["customer"])
    if card and behavior == "error_if_incomplete":
        payment.refuse_incomplete(work, card)
    status = subscription["status"] if trial or (due and not sent) else "active"
    subscription = _add(work, subscription | {"status": status, "latest_invoice": invoice_id})
    invoice = first_invoice(work, subscription, invoice_id)
    if not sent:
        invoice = invoicing.finalize(work, invoice)
    discounts.drop_over(work, work.get("subscription", subscription["id"]))
    if card:
        payment.charge(work, invoice, card)
    return work.get("subscription", subscription["id"])


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
    trials.refuse_sent(subscription)
    subscription["billing_mode"] = billing_mode.requested(work, params)
    if any(metered(price) for price in prices):
        billing_mode.refuse_in_classic(subscription, "metered prices")
    items: list[Json] = []
    for price, item in zip(prices, asked, strict=True):
        period = _first_period(subscription, params, price)
        built = build_item(work, subscription["id"], price, item.get("quantity"), period, item.get("metadata") or {})
        items.append(built | terms(work, subscription, built, item, f"items[{len(items)}]"))
    if "discounts" in params:
        owner = {"customer": subscription["customer"], "subscription": subscription["id"]}
        subscription["discounts"] = redemption.redeem(work, params["discounts"], owner, currency)
    subscription |= taxes.requested(work, subscription, params)
    subscription |= pending_interval.requested(work, subscription["id"], params)
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


def _add(work: Work, subscription: Json) -> Json:
    """Store the subscription, note which items it owns, and count their usage from now on."""
    work.add(subscription)
    discounts.announce(work, None, subscription)
    usage.restart(work, [], items_of(subscription))
    for item in items_of(subscription):
        work.note("item_owner", item["id"], {"subscription": subscription["id"]})
    return subscription
