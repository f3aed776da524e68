"""The lines of invoices: https://docs.stripe.com/api/invoice-line-item/object."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from gateway.stripe_api.events import JsonObject
from gateway.stripe_api.snapshots.base import flag, integer, integer_or_none, text, word
from gateway.stripe_api.times import from_unix

PARENTS = frozenset({"invoice_item_details", "subscription_item_details"})


class LineKind(StrEnum):
    """What a line bills."""

    PLAN = "plan"
    """A price of the subscription, in advance."""
    USAGE = "usage"
    """A metered price of the subscription, for the usage of a period that is over."""
    PRORATION = "proration"
    """The change of a subscription within a period."""
    ITEM = "item"
    """Something else, such as an item that sales added."""


@dataclass(frozen=True, kw_only=True)
class InvoiceLine:
    """A line of an invoice. ``amount``, ``discount`` and ``tax`` add up to its part of the invoice's total."""

    kind: LineKind
    description: str | None
    quantity: int | None
    amount: int
    discount: int
    """What discounts take off, as a negative amount."""
    tax: int
    """The taxes that come on top. A tax that the amount includes is not in it."""
    period_start: datetime
    period_end: datetime

    @classmethod
    def read(cls, line: JsonObject, billed_at: datetime) -> Self:
        """Read a line of an invoice that collects what was due at ``billed_at``."""
        on_top = [integer(each["amount"]) for each in line["taxes"] or () if word(each["tax_behavior"]) == "exclusive"]
        period_end = from_unix(line["period"]["end"])
        return cls(
            kind=find_kind(line, is_over=period_end <= billed_at),
            description=text(line["description"]),
            quantity=integer_or_none(line["quantity"]),
            amount=integer(line["amount"]),
            discount=-sum(integer(each["amount"]) for each in line["discount_amounts"] or ()),
            tax=sum(on_top),
            period_start=from_unix(line["period"]["start"]),
            period_end=period_end,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the line as JSON for the mirror's jsonb column and for the interface, with times in ISO 8601."""
        shown = dict(vars(self))
        times = {"start": shown.pop("period_start"), "end": shown.pop("period_end")}
        return shown | {"period": {name: time.isoformat().replace("+00:00", "Z") for name, time in times.items()}}


def find_kind(line: JsonObject, *, is_over: bool) -> LineKind:
    """Return the kind of a line. Stripe bills usage after its period (``is_over``), and other prices before it.

    https://docs.stripe.com/billing/subscriptions/usage-based/how-it-works
    """
    parent = line["parent"]
    if parent is None or parent["type"] not in PARENTS:
        return LineKind.ITEM
    if flag(parent[parent["type"]]["proration"]):
        return LineKind.PRORATION
    if parent["type"] == "invoice_item_details":
        return LineKind.ITEM
    return LineKind.USAGE if is_over else LineKind.PLAN


def read_lines(invoice: JsonObject) -> tuple[InvoiceLine, ...] | None:
    """Return the lines of an invoice, or None if it does not show all of them.

    An event shows the first ten lines.
    """
    lines = invoice["lines"]
    if flag(lines["has_more"]):
        return None
    billed_at = from_unix(invoice["period_end"])
    return tuple(InvoiceLine.read(each, billed_at) for each in lines["data"])
