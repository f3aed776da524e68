"""What usage costs, by the billing periods in which it occurred."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from tests.simulation.lives import UNCHARGED, Step, is_renewed
from tests.simulation.plan_costs import round_cents
from tests.support.json_types import Json

SENT_WITHIN = 86_400
"""How many seconds usage may need to reach Stripe. If somebody else removes its item before, it is not billed."""


@dataclass(frozen=True)
class Used:
    """Usage that Stripe counts in second ``at``. It is uncertain whether it is stored if its report got no answer."""

    meter: str
    quantity: int
    at: int
    is_certain: bool = True
    told_at: int = 0
    """The second in which somebody reported it."""


@dataclass
class Window:
    """The time for which Stripe bills an item's usage together, which is ``opens`` <= time < ``closes``.

    Usage from ``earliest`` to ``latest`` may belong to it too.
    """

    price: Json
    earliest: int
    opens: int
    closes: int = 0
    latest: int = 0
    is_last: bool = False
    """Whether it closed with the whole subscription. Stripe then bills no usage that is reported later."""


def find_windows(life: Iterable[Step], noticed: Callable[[int], int], *, bills_end: bool) -> list[Window]:
    """Return the windows that a subscription was billed for. ``noticed`` says when the gateway knew of a step.

    ``bills_end`` says whether Stripe billed the last window when the subscription ended.
    """
    found: list[Window] = []
    opened: dict[str, Window] = {}
    for step in life:
        if step.after["status"] in UNCHARGED:
            continue
        if step.after["status"] == "canceled" and not bills_end:
            opened.clear()
        for old, new in step.pairs():
            if "quantity" in (old or new or {}):
                continue
            was_priced = old["price"]["id"] if old else None
            is_priced = new["price"]["id"] if new else None
            renewed = is_renewed(old, new) or step.begins_to_cost
            if was_priced == is_priced and not renewed:
                continue
            # In between, usage may count as that of the plan before.
            first, last = step.begun_at or step.at - SENT_WITHIN, noticed(step.at)
            if renewed and new:
                first, last = new["current_period_start"], new["current_period_start"] - 1
            if old and (window := opened.pop(old["id"], None)):
                window.closes, window.latest = first, last
                window.is_last = step.after["status"] == "canceled"
                found.append(window)
            if new:
                opened[new["id"]] = Window(new["price"], first, last + 1)
    return found


def bound_cost(window: Window, tiers: list[Json], formula: str, used: Iterable[Used]) -> tuple[int, int]:
    """Return the least and the most that the usage of a window may cost."""
    mine = sorted((each for each in used if window.earliest <= each.at <= window.latest), key=lambda each: each.at)
    certain = [each for each in mine if each.is_certain and window.opens <= each.at < window.closes]
    if window.is_last:
        certain = [each for each in certain if each.told_at < window.closes]
    if formula == "sum":
        totals = [sum(each.quantity for each in certain), sum(each.quantity for each in mine)]
    else:
        last = certain[-1].at if certain else 0
        totals = [each.quantity for each in mine if each.at >= last and each not in certain]
        totals.append(certain[-1].quantity if certain else 0)
    costs = [price_units(window.price, tiers, each) for each in totals]
    return min(costs), max(costs)


def price_units(price: Json, tiers: list[Json], units: int) -> int:
    """Return what a number of units costs. All tiers of the catalogue are graduated."""
    if not tiers:
        return round_cents(Fraction(Decimal(price["unit_amount_decimal"])) * units)
    total, below = 0, 0
    for tier in tiers:
        upper = units if tier["up_to"] is None else min(units, tier["up_to"])
        total += round_cents(Fraction(Decimal(tier["unit_amount_decimal"] or 0)) * max(upper - below, 0))
        below = upper
    return total
