"""How long to wait before the next attempt."""

from datetime import timedelta

MOST_DOUBLINGS = 16  # many more would overflow a timedelta


def compute_wait(first: timedelta, longest: timedelta, *, doublings: int) -> timedelta:
    """Return ``first``, doubled as often as ``doublings`` says, but at most ``longest``."""
    return min(first * (1 << min(doublings, MOST_DOUBLINGS)), longest)
