"""Clocks that a test can move."""

import time
from dataclasses import dataclass

DAY = 86400
MONTH = 30 * DAY
START = 1_790_000_000


@dataclass
class StripeTime:
    """Stripe's clock. It agrees with ours until a test sets it ahead."""

    ahead: float = 0

    def __call__(self) -> float:
        """Return the time in Unix seconds."""
        return time.time() + self.ahead


@dataclass
class ManualClock:
    """A clock that stands still until a test moves it."""

    now: float = START

    def __call__(self) -> float:
        return self.now
