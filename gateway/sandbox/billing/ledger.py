"""The record of what each subscription item was billed for, and which part was credited again.

In flexible billing mode, a credit returns the amount that was really debited, independent of the current price
(https://docs.stripe.com/billing/subscriptions/billing-mode/compare). So the ledger keeps every debit until its period
ends.
"""

from dataclasses import dataclass, replace
from decimal import Decimal

from gateway.sandbox import pricing
from gateway.sandbox.currencies import step
from gateway.sandbox.json_types import Json
from gateway.sandbox.objects import tiers
from gateway.sandbox.pricing import Part
from gateway.sandbox.proration import share
from gateway.sandbox.work import Work


@dataclass(frozen=True)
class Debit:
    """An ``amount`` billed for ``start``…``end``.

    The part from ``credited_from`` on was credited again. ``credited_by`` is the latest invoice item that did so.
    """

    amount: int
    price: Json
    quantity: int
    start: int
    end: int
    credited_from: int
    invoice: str | None = None
    line: str | None = None
    invoice_item: str | None = None
    credited_by: str | None = None
    discounts: tuple[str, ...] = ()
    """The discounts after which ``amount`` was left."""
    rates: tuple[Json, ...] = ()
    """The tax rates of the item."""


@dataclass(frozen=True)
class Proration:
    """A proration line to be made. A credit returns part of the debit ``credits``, which is None for a debit."""

    item: str
    amount: int
    price: Json
    quantity: int
    start: int
    end: int
    credits: Debit | None = None
    discounts: tuple[str, ...] = ()
    """The discounts after which ``amount`` is left."""
    rates: tuple[Json, ...] = ()
    """The tax rates of the item."""


def debits(work: Work, item: str) -> list[Debit]:
    """Return the recorded debits of a subscription item, oldest first."""
    found: list[Debit] = (work.recall("billed", item) or {}).get("debits", [])
    return found


def remember(work: Work, item: str, debit: Debit) -> None:
    """Record a debit, and drop those that can no longer be credited."""
    kept = [old for old in debits(work, item) if old.end > work.now]
    work.note("billed", item, {"debits": [*kept, debit]})


def lower(work: Work, line: Json) -> None:
    """Record that discounts lowered the debit of an ordinary line. Credits return the rest only."""
    details = line["parent"]["subscription_item_details"]
    if details is None or details["proration"] or not line["discount_amounts"]:
        return
    rest = line["amount"] - sum(entry["amount"] for entry in line["discount_amounts"])
    by = tuple(entry["discount"] for entry in line["discount_amounts"])
    kept = [
        replace(debit, amount=rest, discounts=by) if debit.line == line["id"] else debit
        for debit in debits(work, details["subscription_item"])
    ]
    work.note("billed", details["subscription_item"], {"debits": kept})


def record(work: Work, proration: Proration, invoice_item: str) -> None:
    """Record a proration once its invoice item exists."""
    if proration.credits is None:
        debit = Debit(
            proration.amount,
            proration.price,
            proration.quantity,
            proration.start,
            proration.end,
            credited_from=proration.end,
            invoice_item=invoice_item,
            discounts=proration.discounts,
            rates=proration.rates,
        )
        remember(work, proration.item, debit)
        return
    kept = [
        replace(debit, credited_from=proration.start, credited_by=invoice_item) if debit == proration.credits else debit
        for debit in debits(work, proration.item)
    ]
    work.note("billed", proration.item, {"debits": kept})


def unused(work: Work, item: str, date: int) -> list[Proration]:
    """Return one credit for each debit that covers time after ``date``. Debits of zero get no credit."""
    found = []
    for debit in debits(work, item):
        start = max(date, debit.start)
        if debit.amount and debit.credited_from > start:
            amount = share(
                -debit.amount,
                start=start,
                end=debit.credited_from,
                period_start=debit.start,
                period_end=debit.end,
                step=step(debit.price["currency"]),
            )
            credit = Proration(item, amount, debit.price, debit.quantity, start, debit.credited_from, debit)
            found.append(replace(credit, discounts=debit.discounts, rates=debit.rates))
    return found


def charge(item: Json, parts: list[Part], start: int, whole: tuple[int, int], discounts: list[str]) -> list[Proration]:
    """Return the debits for an item in its current state, from ``start`` to the end of its period.

    ``parts`` are what the whole period costs after the ``discounts``. ``whole`` is the period that the price is for.
    The item's own period may be shorter. A price of 0 makes no debit. A price with tiers makes one debit per line of a
    whole period. That is an inference, because no proration of tiers was recorded.
    """
    end = item["current_period_end"]
    if start >= end:
        return []
    price = item["price"]
    found = []
    for part in parts:
        if part.amount:
            amount = share(
                part.amount,
                start=start,
                end=end,
                period_start=whole[0],
                period_end=whole[1],
                step=step(price["currency"]),
            )
            debit = Proration(item["id"], amount, price, int(part.quantity), start, end)
            found.append(replace(debit, discounts=tuple(discounts), rates=tuple(item["tax_rates"])))
    return found


def parts(work: Work, item: Json) -> list[Part]:
    """Return what a licensed item costs for a whole period. Metered items cost nothing here."""
    if "quantity" not in item:
        return []
    return pricing.charge(item["price"], tiers.of(work, item["price"]), Decimal(item["quantity"]))


def forget(work: Work, line: Json) -> None:
    """Undo the line of a void invoice. Its debit is no longer owed, and its credit counts as never given."""
    details = line["parent"]["subscription_item_details"]
    if details is not None:
        _undo(work, details["subscription_item"], line["period"]["end"], details["invoice_item"], line["id"])


def forget_pending(work: Work, item: Json) -> None:
    """Undo a pending invoice item that is deleted. That is an inference from the effect of voiding an invoice."""
    owner = item["parent"]["subscription_details"] if item["parent"] else {}
    if owner.get("subscription_item"):
        _undo(work, owner["subscription_item"], item["period"]["end"], item["id"], None)


def _undo(work: Work, subscription_item: str, over: int, invoice_item: str | None, line: str | None) -> None:
    kept = []
    for debit in debits(work, subscription_item):
        if invoice_item is not None and debit.credited_by == invoice_item:
            kept.append(replace(debit, credited_from=over, credited_by=None))
        elif not (_is_same(debit.line, line) or _is_same(debit.invoice_item, invoice_item)):
            kept.append(debit)
    work.note("billed", subscription_item, {"debits": kept})


def _is_same(first: str | None, second: str | None) -> bool:
    return first is not None and first == second
