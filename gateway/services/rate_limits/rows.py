"""Limits on rows that the gateway stores anyway. They are exact, because the caller counts under a lock."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway.errors import RateLimited


@dataclass(frozen=True, kw_only=True)
class RowLimit:
    """At most ``amount`` rows within ``window``."""

    amount: int
    window: timedelta

    def refuse_more(self, times: Sequence[datetime], now: datetime, detail: str) -> None:
        """Raise RateLimited if the latest rows use up the limit. ``times`` are those of the latest, newest first.

        ``Retry-After`` is the time until the oldest of them no longer counts.
        """
        if len(times) >= self.amount:
            wait = (times[self.amount - 1] + self.window - now).total_seconds()
            raise RateLimited(detail, headers={"Retry-After": str(max(1, math.ceil(wait)))})
