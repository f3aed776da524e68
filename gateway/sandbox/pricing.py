"""Arithmetic that splits the cost of a quantity into its parts.

https://docs.stripe.com/products-prices/pricing-models. Amounts stay exact until each part is rounded separately.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from gateway.sandbox.currencies import step
from gateway.sandbox.json_types import Json
from gateway.sandbox.proration import nearest

NOTHING = Decimal(0)


@dataclass(frozen=True)
class Part:
    """The content of an invoice line, which is ``amount`` minor units for ``quantity`` units at ``unit_amount`` each.

    ``tier`` counts from 1. A ``flat`` part is a tier's fee. It has no units, and its ``unit_amount`` is the fee.
    """

    quantity: Decimal
    unit_amount: Decimal
    amount: int
    tier: int | None = None
    flat: bool = False


def charge(price: Json, tiers: list[Json], quantity: Decimal) -> list[Part]:
    """Return the parts of a whole period's charge. ``tiers`` is empty for a price per unit.

    The first tier always applies, even to a quantity of 0. A tier's fee follows its units. Both are as in invoices
    that Stripe sent under earlier versions of its API.
    """
    currency = price["currency"]
    if not tiers:
        return [_units(currency, quantity, Decimal(price["unit_amount_decimal"]), None)]
    if price["tiers_mode"] == "volume":
        number = _tier_of(tiers, quantity)
        return list(_tier(currency, tiers[number - 1], number, quantity))
    parts: list[Part] = []
    below = NOTHING
    for number, tier in enumerate(tiers[: _tier_of(tiers, quantity)], 1):
        upper = quantity if tier["up_to"] is None else min(quantity, Decimal(tier["up_to"]))
        parts += _tier(currency, tier, number, upper - below)
        below = upper
    return parts


def total(parts: list[Part]) -> int:
    """Return the sum in minor units."""
    return sum(part.amount for part in parts)


def _tier_of(tiers: list[Json], quantity: Decimal) -> int:
    """Return the number of the tier that holds the last unit."""
    return next(number for number, tier in enumerate(tiers, 1) if tier["up_to"] is None or quantity <= tier["up_to"])


def _tier(currency: str, tier: Json, number: int, quantity: Decimal) -> Iterator[Part]:
    yield _units(currency, quantity, Decimal(tier["unit_amount_decimal"] or 0), number)
    if tier["flat_amount_decimal"] is not None:
        flat = Decimal(tier["flat_amount_decimal"])
        yield Part(NOTHING, flat, nearest(Fraction(flat), step(currency)), number, flat=True)


def _units(currency: str, quantity: Decimal, unit_amount: Decimal, tier: int | None) -> Part:
    amount = nearest(Fraction(quantity) * Fraction(unit_amount), step(currency))
    return Part(quantity, unit_amount, amount, tier)
