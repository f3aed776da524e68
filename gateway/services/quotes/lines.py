"""The lines of Stripe's previews, and the amounts that follow from them."""

from dataclasses import dataclass
from typing import Any

from stripe import Invoice

from gateway.services.subscription.plan_details import Period
from gateway.stripe_api.times import from_unix


@dataclass(frozen=True, kw_only=True)
class QuoteLine:
    """One line as Stripe words it. ``amount`` is in minor units, and negative for a credit."""

    description: str | None
    amount: int
    currency: str
    period: Period
    proration: bool


def select_remaining_lines(next_invoice: Invoice, immediate: Invoice | None) -> list[dict[str, Any]]:
    """Return the lines that the next invoice will have after the immediate one.

    Each preview contains all pending invoice items. The immediate invoice takes them, so the next one will not.
    """
    billed = {find_invoice_item(line) for line in list_lines(immediate)} - {None}
    return [line for line in list_lines(next_invoice) if find_invoice_item(line) not in billed]


def compute_next_amount_due(
    next_invoice: Invoice, lines: list[dict[str, Any]], immediate: Invoice | None, charged_back: int
) -> int:
    """Return the amount due of the next invoice, of which only ``lines`` remain, and which gains ``charged_back``.

    Each preview starts from the customer's balance of today. The next invoice starts from the balance that the
    immediate one leaves. Stripe carries over an amount that is too small to charge (about 50 cents).
    """
    if immediate is None and charged_back == 0:
        return next_invoice.amount_due
    gone = sum(net_amount(line) for line in list_lines(next_invoice)) - sum(net_amount(line) for line in lines)
    balance = next_invoice.starting_balance
    if immediate is not None:
        balance = immediate.starting_balance + immediate.total - immediate.amount_due
    return max(0, next_invoice.total - gone + balance + charged_back)


def find_credited_invoice(line: dict[str, Any]) -> str | None:
    """Return the id of the invoice that a line credits, or None if the line is no credit of an invoice."""
    parent: dict[str, Any] = line["parent"] or {}
    details: dict[str, Any] = parent.get(parent.get("type", "")) or {}
    credited = (details.get("proration_details") or {}).get("credited_items")
    return credited["invoice"] if credited is not None else None


def net_amount(line: dict[str, Any]) -> int:
    """Return what a line adds to its invoice's total, with its discounts and the taxes that come on top."""
    discounts: int = sum(each["amount"] for each in line["discount_amounts"] or ())
    on_top: int = sum(each["amount"] for each in line["taxes"] or () if each["tax_behavior"] == "exclusive")
    amount: int = line["amount"]
    return amount - discounts + on_top


def find_invoice_item(line: dict[str, Any]) -> str | None:
    """Return the id of the invoice item behind a line, or None if the line comes from the subscription itself."""
    parent: dict[str, Any] = line["parent"] or {}
    details = parent.get("invoice_item_details")
    return details["invoice_item"] if details is not None else None


def list_lines(invoice: Invoice | None) -> list[dict[str, Any]]:
    """Return all lines of a preview. Stripe puts them on one page, because a preview has no further pages."""
    lines: list[dict[str, Any]] = invoice.to_dict(for_json=True)["lines"]["data"] if invoice is not None else []
    return lines


def parse_line(line: dict[str, Any]) -> QuoteLine:
    """Return a line of Stripe's preview as a QuoteLine."""
    parent = line["parent"]
    return QuoteLine(
        description=line["description"],
        amount=line["amount"],
        currency=line["currency"],
        period=Period(start=from_unix(line["period"]["start"]), end=from_unix(line["period"]["end"])),
        proration=parent is not None and parent[parent["type"]]["proration"],
    )
