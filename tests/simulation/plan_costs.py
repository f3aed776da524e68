"""What the plans of a subscription cost, by the second, in the cents that Stripe rounds to.

https://docs.stripe.com/billing/subscriptions/prorations
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from tests.simulation.lives import UNCHARGED, Step, is_renewed
from tests.support.json_types import Json


@dataclass
class Debit:
    """An amount for the time from ``start`` to ``end``. The time from ``kept_until`` on was given back."""

    amount: int
    start: int
    end: int
    kept_until: int

    def give_back(self, since: int) -> int:
        """Give the time after ``since`` back, and return its price."""
        since = max(since, self.start)
        if since >= self.kept_until:
            return 0
        given = round_cents(Fraction(-self.amount * (self.kept_until - since), self.end - self.start))
        self.kept_until = since
        return given


def round_cents(exact: Fraction) -> int:
    """Round to the nearest cent. An exact half goes down, as Stripe was recorded to do."""
    return math.ceil(exact - Fraction(1, 2))


def price_of(item: Json) -> int | None:
    """Return what a period of an item costs, or None for usage."""
    if "quantity" not in item:
        return None
    price: int = item["price"]["unit_amount"] * item["quantity"]
    return price


def sum_plans(life: Iterable[Step], *, returns_unused: bool) -> int:
    """Return what the plans of a subscription cost up to now.

    ``returns_unused`` says whether the unused time was credited when the subscription was canceled.
    """
    debits: dict[str, list[Debit]] = {}
    total = 0
    for step in life:
        if step.after["status"] == "incomplete_expired":
            return 0
        if step.after["status"] in UNCHARGED or (step.before or {}).get("status") == "paused":
            continue
        if step.after["status"] == "canceled" and not returns_unused:
            continue
        for old, new in step.pairs():
            known = debits.setdefault((old or new or {})["id"], [])
            total += sum(each.give_back(moment) for moment in given_back(step, old, new) for each in known)
            if (debit := find_debit(step, old, new)) is not None:
                known.append(debit)
                total += debit.amount
    return total


def given_back(step: Step, old: Json | None, new: Json | None) -> list[int]:
    """Return the moment from which the item's time is given back, if any."""
    if old is None or price_of(old) is None or step.begins_to_cost or is_renewed(old, new):
        return []
    if new is None or costs(old) != costs(new):
        return [step.since]
    return [new["current_period_end"]]


def find_debit(step: Step, old: Json | None, new: Json | None) -> Debit | None:
    """Return what the step charges for an item, if anything."""
    if new is None or (price := price_of(new)) is None:
        return None
    start, end = new["current_period_start"], new["current_period_end"]
    if is_renewed(old, new) or step.begins_to_cost:
        since = start
    elif old is None or costs(old) != costs(new):
        since = max(step.since, start)
    else:
        since = old["current_period_end"]
    if since >= end:
        return None
    return Debit(round_cents(Fraction(price * (end - since), end - start)), since, end, end)


def costs(item: Json) -> tuple[str, int | None]:
    """Return what the price of an item depends on."""
    return item["price"]["id"], item.get("quantity")
