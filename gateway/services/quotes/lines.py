"""The lines of Stripe's previews, and the amounts that follow from them."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Self

from stripe import Invoice

from gateway.catalog import TaxBehavior
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


def select_remaining_lines(next_invoice: Invoice | None, immediate: Invoice | None) -> list[dict[str, Any]]:
    """Return the lines that the next invoice will have after the immediate one.

    Each preview contains all pending invoice items. The immediate invoice takes them, so the next one will not.
    """
    billed = {find_invoice_item(line) for line in list_lines(immediate)} - {None}
    return [line for line in list_lines(next_invoice) if find_invoice_item(line) not in billed]


@dataclass(frozen=True, kw_only=True)
class Sums:
    """The sums of a quote. ``subtotal``, ``discounts``, ``taxes`` and ``balance`` add up to what is due."""

    subtotal: int
    """The sum of the lines."""
    discounts: int
    """What discounts take off, as a negative amount."""
    taxes: int
    """The taxes that come on top. A tax that the lines include is not in it."""
    taxes_included: int
    """The taxes that the lines include."""
    balance: int
    """What the customer's balance takes off (negative), or what it adds or carries over (positive)."""


def sum_up(lines: list[dict[str, Any]], total: int, due: int, *, charged_back: int = 0, included: int = 0) -> Sums:
    """Return the sums of Stripe's ``lines`` and of what is charged back. ``total`` is that of their invoices.

    ``included`` are the taxes that the amount charged back includes.
    """
    subtotal = sum(line["amount"] for line in lines) + charged_back
    discounts = -sum(sum_discounts(line) for line in lines)
    return Sums(
        subtotal=subtotal,
        discounts=discounts,
        taxes=total - subtotal - discounts,
        taxes_included=sum(sum_taxes(line, "inclusive") for line in lines) + included,
        balance=due - total,
    )


def compute_next_total(next_invoice: Invoice | None, lines: list[dict[str, Any]], charged_back: int) -> int:
    """Return the total of the next invoice, of which only ``lines`` remain, and which gains ``charged_back``."""
    if next_invoice is None:
        return charged_back
    gone = sum(net_amount(line) for line in list_lines(next_invoice)) - sum(net_amount(line) for line in lines)
    return next_invoice.total - gone + charged_back


def compute_next_amount_due(next_invoice: Invoice | None, total: int, immediate: Invoice | None) -> int:
    """Return the amount due of the next invoice, which has this ``total``.

    Each preview starts from the customer's balance of today. The next invoice starts from the balance that the
    immediate one leaves. Stripe carries over an amount that is too small to charge (about 50 cents).
    """
    if next_invoice is None:
        return 0
    if immediate is None and total == next_invoice.total:
        return next_invoice.amount_due
    balance = next_invoice.starting_balance
    if immediate is not None:
        balance = immediate.starting_balance + immediate.total - immediate.amount_due
    return max(0, total + balance)


@dataclass(frozen=True, kw_only=True)
class TaxShare:
    """The taxes that come on top of some lines, relative to what discounts leave of the lines."""

    net: int
    tax: int

    @classmethod
    def of(cls, lines: Iterable[dict[str, Any]], prices: Collection[str | None]) -> Self:
        """Return the share in those of an invoice's lines that charge for one of these prices."""
        sold = [line for line in lines if line["amount"] > 0 and find_price(line) in prices]
        return cls(
            net=sum(line["amount"] - sum_discounts(line) for line in sold),
            tax=sum(sum_taxes(line, "exclusive") for line in sold),
        )

    def add_to(self, net: int) -> int:
        """Return ``net`` with its taxes."""
        return net + round(Fraction(net * self.tax, self.net)) if self.tax else net

    def take_from(self, total: int) -> int:
        """Return the greatest amount that is at most ``total`` with its taxes."""
        if not self.tax:
            return total
        nearest = round(Fraction(total * self.net, self.net + self.tax))
        return nearest if self.add_to(nearest) <= total else nearest - 1


def find_credited_invoice(line: dict[str, Any]) -> str | None:
    """Return the id of the invoice that a line credits, or None if the line is no credit of an invoice."""
    credited = find_credited_items(line)
    return credited["invoice"] if credited is not None else None


def select_credits(prorations: list[dict[str, Any]], lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the prorations that credit billed time. ``lines`` are all lines of the previews.

    If a debit is not billed yet, the preview contains it. Its credit only takes it back, and gives nothing.
    https://docs.stripe.com/api/invoice-line-item/object#invoice_line_item_object-parent
    """
    unbilled = {line["id"] for line in lines}
    found = [(line, find_credited_items(line) or {}) for line in prorations if line["amount"] < 0]
    return [line for line, credited in found if unbilled.isdisjoint(credited.get("invoice_line_items", ()))]


def find_credited_items(line: dict[str, Any]) -> dict[str, Any] | None:
    """Return the invoice and the lines that a line credits, or None if it names none."""
    credited: dict[str, Any] | None = (get_details(line).get("proration_details") or {}).get("credited_items")
    return credited


def net_amount(line: dict[str, Any]) -> int:
    """Return what a line adds to its invoice's total, with its discounts and the taxes that come on top."""
    amount: int = line["amount"]
    return amount - sum_discounts(line) + sum_taxes(line, "exclusive")


def sum_taxes(line: dict[str, Any], behavior: TaxBehavior) -> int:
    """Return the taxes of a line that come on top of it (``exclusive``), or that it includes (``inclusive``)."""
    taxes: int = sum(each["amount"] for each in line["taxes"] or () if each["tax_behavior"] == behavior)
    return taxes


def sum_discounts(line: dict[str, Any]) -> int:
    """Return what the discounts take off a line."""
    discounts: int = sum(each["amount"] for each in line["discount_amounts"] or ())
    return discounts


def find_invoice_item(line: dict[str, Any]) -> str | None:
    """Return the id of the invoice item behind a line, or None if the line comes from the subscription itself.

    The line of a pending proration names the subscription's item too.
    """
    return get_details(line).get("invoice_item")


def find_price(line: dict[str, Any]) -> str | None:
    """Return the id of the price of a line or of an invoice item, or None."""
    details = (line["pricing"] or {}).get("price_details")
    return details["price"] if details is not None else None


def get_details(line: dict[str, Any]) -> dict[str, Any]:
    """Return what Stripe says of a line's origin, or {} for a line without one."""
    parent: dict[str, Any] = line["parent"] or {}
    details: dict[str, Any] = parent.get(parent.get("type", "")) or {}
    return details


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
