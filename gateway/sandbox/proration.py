"""Proration arithmetic, and nothing else.

https://docs.stripe.com/billing/subscriptions/prorations; the figures in tests/sandbox/prorations.json.
"""

import math
from fractions import Fraction


def share(amount: int, *, start: int, end: int, period_start: int, period_end: int, step: int = 1) -> int:
    """The part of ``amount`` (minor units, for the whole period) that falls on ``start``…``end``, by the second."""
    return nearest(Fraction(amount * (end - start), period_end - period_start), step)


def nearest(exact: Fraction, step: int = 1) -> int:
    """The nearest multiple of ``step`` minor units; an exact half goes toward minus infinity, credits and debits alike.

    As recorded from Stripe's API, 2026-08-26.dahlia: -2.5 → -3, 4.5 → 4, 7.5 → 7.
    """
    return math.ceil(exact / step - Fraction(1, 2)) * step
