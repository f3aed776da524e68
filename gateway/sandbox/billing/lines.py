"""Invoice items and invoice lines, with Stripe's descriptions of them."""

from datetime import UTC, datetime
from decimal import Decimal

from gateway.sandbox.billing.ledger import Debit, Proration
from gateway.sandbox.billing.taxes import keep_rates
from gateway.sandbox.currencies import money
from gateway.sandbox.json_types import Json
from gateway.sandbox.objects import invoice as objects
from gateway.sandbox.pricing import Part
from gateway.sandbox.work import Work

_FROZEN = ["pricing", "quantity", "discounts"]


def add_pending(work: Work, subscription: Json, prorations: list[Proration], *, tied: bool = True) -> list[Json]:
    """Make pending invoice items of prorations, and return them in the order of the prorations.

    They are created in reverse, so that newest-first lists show an item's credit before its debit. Items that are not
    ``tied`` belong to the customer alone, as after a cancellation recorded from Stripe's API.
    """
    built = [_pending(work, subscription, proration) for proration in reversed(prorations)]
    return [work.add(item if tied else _without_subscription(item)) for item in built][::-1]


def _without_subscription(item: Json) -> Json:
    return {key: value for key, value in item.items() if key != "proration_details"} | {"parent": None}


def _pending(work: Work, subscription: Json, proration: Proration) -> Json:
    item = objects.build_item(
        work,
        customer=subscription["customer"],
        amount=proration.amount,
        currency=subscription["currency"],
        description=_proration_text(work, proration),
        period={"end": proration.end, "start": proration.start},
    )
    parent = {"subscription": subscription["id"], "subscription_item": proration.item}
    if proration.credits is None and proration.discounts:
        work.note("netted", item["id"], {"discounts": proration.discounts})
    return item | {
        "discountable": False,
        "frozen_fields": _FROZEN,
        "net_amount": proration.amount,
        "parent": {"subscription_details": parent, "type": "subscription_details"},
        "pricing": objects.pricing(proration.price, None),
        "proration": True,
        "proration_details": {
            "credited_items": _credited(work, proration.credits),
            "discount_amounts": _included(work, proration),
        },
        "quantity": proration.quantity,
        "quantity_decimal": str(proration.quantity),
        "tax_rates": list(proration.rates),
    }


def _included(work: Work, proration: Proration) -> list[Json]:
    """Return the discounts that the proration's amount includes, each with an amount of 0.

    Those of the subscription item are left out
    (https://docs.stripe.com/changelog/clover/2025-09-30/itemize-proration-discount-amounts).
    """
    group = [found for found in proration.discounts if work.get("discount", found)["subscription_item"] is None]
    return [{"amount": 0, "discount": discount} for discount in group]


def _credited(work: Work, debit: Debit | None) -> Json | None:
    if debit is None:
        return None
    invoice, line = _where_billed(work, debit)
    if line is None:
        return {"invoice_item": debit.invoice_item, "type": "invoice_item"}
    details = {"invoice": invoice, "invoice_line_items": [line]}
    return {"invoice_line_item_details": details, "type": "invoice_line_items"}


def _where_billed(work: Work, debit: Debit) -> tuple[str | None, str | None]:
    if debit.line or debit.invoice_item is None:
        return debit.invoice, debit.line
    item = work.find("invoiceitem", debit.invoice_item)
    for line in lines_of(work, item["invoice"]) if item and item["invoice"] else []:
        if invoice_item_of(line) == debit.invoice_item:
            return line["invoice"], line["id"]
    return None, None


def invoice_item_of(line: Json) -> str | None:
    """Return the invoice item that became this line, or None."""
    found: str | None = line["parent"][line["parent"]["type"]]["invoice_item"]
    return found


def lines_of(work: Work, invoice_id: str) -> list[Json]:
    """Return all lines of an invoice. The invoice object carries only the first ten."""
    lines: list[Json] = (work.recall("lines", invoice_id) or {"data": []})["data"]
    return lines


def from_pending(work: Work, invoice_id: str, items: list[Json]) -> list[Json]:
    """Return the invoice lines for pending items. A credit names the line it credits, even on this invoice."""
    ids = {item["id"]: work.ids.new("il") for item in items}
    return [_line_of_item(work, invoice_id, item, ids) for item in items]


def _line_of_item(work: Work, invoice_id: str, item: Json, ids: dict[str, str]) -> Json:
    line = objects.build_line(
        work,
        invoice_id,
        amount=item["amount"],
        currency=item["currency"],
        description=item["description"] or "",
        quantity=item["quantity"],
        period=item["period"],
    )
    credited = (item.get("proration_details") or {}).get("credited_items")
    details = {
        "invoice_item": item["id"],
        "proration": item["proration"],
        "proration_details": {"credited_items": _credited_lines(work, invoice_id, credited, ids)},
    }
    owner = item["parent"]["subscription_details"] if item["parent"] else {"subscription": None}
    if owner.get("subscription_item"):
        kind = "subscription_item_details"
        details |= owner
    else:  # the line of a plain item names the subscription, if any, but none of its items
        kind = "invoice_item_details"
        details["subscription"] = owner["subscription"]
    parent = {"invoice_item_details": None, "subscription_item_details": None, "type": kind} | {kind: details}
    fields = {key: item[key] for key in ("discountable", "discounts", "metadata", "pricing", "quantity_decimal")}
    keep_rates(work, {"id": ids[item["id"]]}, item["tax_rates"])
    included = (item.get("proration_details") or {}).get("discount_amounts", [])
    return line | fields | {"discount_amounts": included, "id": ids[item["id"]], "parent": parent}


def _credited_lines(work: Work, invoice_id: str, credited: Json | None, ids: dict[str, str]) -> Json | None:
    if credited is None:
        return None
    if credited["type"] == "invoice_line_items":
        details: Json = credited["invoice_line_item_details"]
        return details
    debited = credited["invoice_item"]
    if debited in ids:
        return {"invoice": invoice_id, "invoice_line_items": [ids[debited]]}
    item = work.find("invoiceitem", debited)
    if item is None or item["invoice"] is None:  # the debit was deleted, so there is no line to name
        return None
    billed = item["invoice"]
    lines = [line["id"] for line in lines_of(work, billed) if invoice_item_of(line) == debited]
    return {"invoice": billed, "invoice_line_items": lines}


def for_period(work: Work, invoice_id: str, item: Json, parts: list[Part], period: tuple[int, int]) -> list[Json]:
    """Return the ordinary lines of a subscription item for a period, one per part of its price."""
    return [_of_part(work, invoice_id, item, part, period) for part in parts]


def _of_part(work: Work, invoice_id: str, item: Json, part: Part, period: tuple[int, int]) -> Json:
    price = item["price"]
    line = objects.build_line(
        work,
        invoice_id,
        amount=part.amount,
        currency=price["currency"],
        description=part_text(work, price, part),
        quantity=int(part.quantity),
        period={"end": period[1], "start": period[0]},
    )
    details = {
        "invoice_item": None,
        "proration": False,
        "proration_details": {"credited_items": None},
        "subscription": item["subscription"],
        "subscription_item": item["id"],
    }
    parent = {
        "invoice_item_details": None,
        "subscription_item_details": details,
        "type": "subscription_item_details",
    }
    pricing = objects.pricing(price, plain(part.unit_amount))
    keep_rates(work, line, item["tax_rates"])
    fields = {"discounts": item["discounts"], "pricing": pricing, "quantity_decimal": plain(part.quantity)}
    return line | fields | {"parent": parent}


def plain(number: Decimal) -> str:
    """Format a decimal as Stripe does, such as ``"12"`` or ``"0.5"``."""
    return f"{number.normalize():f}"


def part_text(work: Work, price: Json, part: Part) -> str:
    """Return the text for a part, ``5 x Seats (at $10.00 / month)`` or ``3 call x API (Tier 2 at $0.036 / month)``.

    A tier's fee has no quantity. Tiers and a product's ``unit_label`` read as in invoices that Stripe sent under
    earlier versions of its API.
    """
    times = "" if part.flat else _counted(work, price, plain(part.quantity))
    tier = f"Tier {part.tier} " if part.tier else ""
    every = f"{money(part.unit_amount, price['currency'])} / {_interval(price['recurring'])}"
    return f"{times}{_name(work, price)} ({tier}at {every})"


def trial_line(work: Work, item: Json, line: Json) -> Json:
    """Return the line as the free one of a trial, whose text was recorded from Stripe's API, 2026-03-25.dahlia."""
    counted = _counted(work, item["price"], line["quantity_decimal"])
    free = {"amount": 0, "description": f"Free trial for {counted}{_name(work, item['price'])}", "subtotal": 0}
    return line | free | {"pricing": line["pricing"] | {"unit_amount_decimal": "0"}}


def _counted(work: Work, price: Json, quantity: str) -> str:
    """Return the start of a line's text, with the quantity and the unit label."""
    product = work.find("product", price["product"]) or {}
    label = f" {product['unit_label']}" if product.get("unit_label") else ""
    return f"{quantity}{label} × "  # noqa: RUF001 - Stripe's own sign


def _proration_text(work: Work, proration: Proration) -> str:
    side = "Unused" if proration.credits else "Remaining"
    times = f"{proration.quantity} × " if proration.quantity > 1 else ""  # noqa: RUF001 - Stripe's own sign
    day = datetime.fromtimestamp(proration.start, UTC).strftime("%d %b %Y")
    return f"{side} time on {times}{_name(work, proration.price)} after {day}"


def _name(work: Work, price: Json) -> str:
    product = work.find("product", price["product"])
    return str(product["name"]) if product else str(price["product"])


def _interval(recurring: Json) -> str:
    count = recurring["interval_count"]
    return str(recurring["interval"]) if count == 1 else f"every {count} {recurring['interval']}s"
