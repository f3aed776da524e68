"""The lines of Stripe's previews, and what they add up to."""

from dataclasses import dataclass
from typing import Any

from stripe import Invoice

from gateway.services.subscription.plan_details import Period
from gateway.stripe_api.times import from_unix


@dataclass(frozen=True, kw_only=True)
class QuoteLine:
    """One line as Stripe words it; ``amount`` in minor units, negative for a credit."""

    description: str | None
    amount: int
    currency: str
    period: Period
    proration: bool


def select_remaining_lines(next_invoice: Invoice, immediate: Invoice | None) -> list[dict[str, Any]]:
    """The lines of the next invoice. Each preview takes all that is pending; what the one at once takes is gone."""
    billed = {find_invoice_item(line) for line in list_lines(immediate)} - {None}
    return [line for line in list_lines(next_invoice) if find_invoice_item(line) not in billed]


def compute_next_amount_due(next_invoice: Invoice, lines: list[dict[str, Any]], immediate: Invoice | None) -> int:
    """What the next invoice asks for, with ``lines`` as its lines.

    Each preview begins with the customer's balance of today; what the invoice at once leaves of it, or adds to it as a
    credit, is what the next one begins with. Less than a card can be charged (some 50 cents) Stripe carries over.
    """
    if immediate is None:
        return next_invoice.amount_due
    gone = sum(net_amount(line) for line in list_lines(next_invoice)) - sum(net_amount(line) for line in lines)
    balance = immediate.starting_balance + immediate.total - immediate.amount_due
    return max(0, next_invoice.total - gone + balance)


def net_amount(line: dict[str, Any]) -> int:
    """What a line adds to its invoice's total: with its discounts and with taxes that come on top."""
    discounts: int = sum(each["amount"] for each in line["discount_amounts"] or ())
    on_top: int = sum(each["amount"] for each in line["taxes"] or () if each["tax_behavior"] == "exclusive")
    amount: int = line["amount"]
    return amount - discounts + on_top


def find_invoice_item(line: dict[str, Any]) -> str | None:
    """The invoice item behind a line; None if the subscription itself is."""
    parent: dict[str, Any] = line["parent"] or {}
    details = parent.get("invoice_item_details")
    return details["invoice_item"] if details is not None else None


def list_lines(invoice: Invoice | None) -> list[dict[str, Any]]:
    """All lines of a preview: it shows them all, since it cannot be asked for its further pages."""
    lines: list[dict[str, Any]] = invoice.to_dict(for_json=True)["lines"]["data"] if invoice is not None else []
    return lines


def parse_line(line: dict[str, Any]) -> QuoteLine:
    """A line of Stripe's preview."""
    parent = line["parent"]
    return QuoteLine(
        description=line["description"],
        amount=line["amount"],
        currency=line["currency"],
        period=Period(start=from_unix(line["period"]["start"]), end=from_unix(line["period"]["end"])),
        proration=parent is not None and parent[parent["type"]]["proration"],
    )
