"""Proration arithmetic.

https://docs.stripe.com/billing/subscriptions/prorations. tests/sandbox/prorations.json holds Stripe's figures.
"""

import math
from fractions import Fraction


def share(amount: int, *, start: int, end: int, period_start: int, period_end: int, step: int = 1) -> int:
    """Return the share of ``amount`` for ``start``…``end``, to the second.

    ``amount`` is what the whole period costs, in minor units.
    """
    return nearest(Fraction(amount * (end - start), period_end - period_start), step)


def nearest(exact: Fraction, step: int = 1) -> int:
    """Return the nearest multiple of ``step`` minor units.

    An exact half rounds toward minus infinity, for credits and debits alike. Stripe's API, 2026-08-26.dahlia, was
    recorded to round -2.5 → -3, 4.5 → 4 and 7.5 → 7.
    """
    return math.ceil(exact / step - Fraction(1, 2)) * step
