"""Invoice items of one-time prices, such as those of ``add_invoice_items``."""

from fractions import Fraction

from gateway.sandbox.currencies import step
from gateway.sandbox.errors import invalid, required
from gateway.sandbox.json_types import Json
from gateway.sandbox.objects.catalog import build_price, build_product
from gateway.sandbox.objects.invoice import build_item, pricing
from gateway.sandbox.objects.subscription import items_of
from gateway.sandbox.proration import nearest
from gateway.sandbox.work import Work

_NOT_ONE_TIME = (
    "The price specified is set to `type=recurring` but this field only accepts prices with `type=one_time`."
)


def priced(work: Work, price_id: str, quantity: int, description: str | None, *, param: str) -> Json:
    """Return the fields of an invoice item that depend on its price. Raise 400 unless the price is one-time."""
    price = work.get("price", price_id, param=param, status=400)
    if price["recurring"] is not None:
        raise invalid(_NOT_ONE_TIME, param=param)
    return {
        "amount": nearest(Fraction(price["unit_amount_decimal"]) * quantity, step(price["currency"])),
        "currency": price["currency"],
        "description": description or work.get("product", price["product"])["name"],
        "pricing": pricing(price, price["unit_amount_decimal"]),
        "quantity": quantity,
        "quantity_decimal": str(quantity),
    }


def of_amount(work: Work, amount: int, currency: str, description: str | None, tax_behavior: str) -> Json:
    """Return the ``pricing`` of an invoice item with an amount, which names a price as recorded from Stripe's API.

    Stripe makes the price for this item alone. That both it and its product are inactive, and that no event reports
    them, is an inference.
    """
    product = build_product(work, {"name": description or "Invoice item", "active": False})
    terms = {"active": False, "currency": currency, "unit_amount": amount, "tax_behavior": tax_behavior}
    price = build_price(work, terms, product["id"])
    work.keep(product)
    work.keep(price)
    return pricing(price, str(amount))


def tied_to(subscription: Json) -> Json:
    """Return the ``parent`` of an invoice item of a subscription that comes from none of its items."""
    details = {"subscription": subscription["id"], "subscription_item": None}
    return {"subscription_details": details, "type": "subscription_details"}


def add(work: Work, subscription: Json, asked: list[Json]) -> None:
    """Make pending items of ``add_invoice_items``. Their period is that of the subscription's items."""
    items = items_of(subscription)
    period = {
        "end": min(item["current_period_end"] for item in items),
        "start": max(item["current_period_start"] for item in items),
    }
    for index, wanted in enumerate(asked):
        param = f"add_invoice_items[{index}][price]"
        if not wanted.get("price"):
            raise required(param)
        fields = priced(work, wanted["price"], wanted.get("quantity", 1), None, param=param)
        if fields["currency"] != subscription["currency"]:
            text = f"The subscription is billed in {subscription['currency']}, not in {fields['currency']}."
            raise invalid(text, param=param)
        item = build_item(
            work,
            customer=subscription["customer"],
            amount=fields["amount"],
            currency=fields["currency"],
            description=fields["description"],
            period=period,
        )
        work.add(item | fields | {"metadata": wanted.get("metadata") or {}, "parent": tied_to(subscription)})
