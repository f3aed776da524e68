"""Prices and periods, calculated without the code of the gateway and of the local Stripe.

The prices repeat ``story.toml``. https://docs.stripe.com/products-prices/pricing-models
"""

import calendar
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from math import ceil


@dataclass(frozen=True)
class Tier:
    """A part of a price, up to a quantity. ``unit`` and ``flat`` are in cents."""

    up_to: int | None
    unit: Fraction
    flat: int = 0


@dataclass(frozen=True)
class Price:
    """A price with tiers. One price per unit has a single tier."""

    tiers: tuple[Tier, ...]
    volume: bool = False

    def split(self, quantity: int) -> list[tuple[int, int]]:
        """Return the quantity and the amount of each line of an invoice."""
        if self.volume:
            [tier] = [each for each in self.tiers if each.up_to is None or quantity <= each.up_to][:1]
            return charge(tier, quantity)
        lines, below = [], 0
        for tier in self.tiers:
            if below and below >= quantity:
                break
            upper = quantity if tier.up_to is None else min(quantity, tier.up_to)
            lines += charge(tier, upper - below)
            below = upper
        return lines


def charge(tier: Tier, quantity: int) -> list[tuple[int, int]]:
    """Return the line of a tier's units, and one of its fee."""
    units = (quantity, to_cents(quantity * tier.unit))
    return [units, (0, tier.flat)] if tier.flat else [units]


def to_cents(exact: Fraction) -> int:
    """Round to whole cents. Stripe rounds an exact half toward minus infinity."""
    return ceil(exact - Fraction(1, 2))


def per_unit(amount: str) -> Price:
    """Return a price per unit in cents."""
    return Price((Tier(None, Fraction(amount)),))


def after(included: int, amount: str, first: str = "0") -> Price:
    """Return a price whose units up to ``included`` cost ``first``, and the others ``amount``."""
    return Price((Tier(included, Fraction(first)), Tier(None, Fraction(amount))))


def by_volume(flat: int, small: str, large: str) -> Price:
    """Return a price of all units that is lower from the sixth on."""
    return Price((Tier(5, Fraction(small), flat), Tier(None, Fraction(large))), volume=True)


FREE = per_unit("0")
BASE = {
    ("plus", "month", "usd"): per_unit("1999"),
    ("plus", "month", "eur"): per_unit("1799"),
    ("plus", "year", "usd"): per_unit("19990"),
    ("plus", "year", "eur"): per_unit("17990"),
    ("pro", "month", "usd"): after(5, "3999", first="4999"),
    ("pro", "month", "eur"): after(5, "3599", first="4599"),
    ("pro", "year", "usd"): by_volume(101, "49990", "39990"),
    ("pro", "year", "eur"): by_volume(101, "45990", "35990"),
}
METERED = {
    ("plus", "usd"): {"api_calls": per_unit("0.037"), "portal_services": after(10, "501")},
    ("plus", "eur"): {"api_calls": per_unit("0.031"), "portal_services": after(10, "457")},
    ("pro", "usd"): {"api_calls": after(100_000, "0.023")},
    ("pro", "eur"): {"api_calls": after(100_000, "0.019")},
}
MONTHS = {"month": 1, "year": 12}


@dataclass(frozen=True)
class Period:
    """A billing period, in unix seconds."""

    start: int
    end: int


def find_period(anchor: int, interval: str, moment: int) -> Period:
    """Return the period that contains ``moment``. Each one begins on the anchor's day, or on the last of a month."""
    begins = datetime.fromtimestamp(anchor, UTC)
    number = 0
    while (end := add_months(begins, (number + 1) * MONTHS[interval])) <= moment:
        number += 1
    return Period(add_months(begins, number * MONTHS[interval]), end)


def add_months(begins: datetime, months: int) -> int:
    """Return the moment so many months later, in unix seconds."""
    year, month = divmod(begins.year * 12 + begins.month - 1 + months, 12)
    day = min(begins.day, calendar.monthrange(year, month + 1)[1])
    return int(begins.replace(year=year, month=month + 1, day=day).timestamp())
