"""The customers as Stripe's search sees them, which lags behind (https://docs.stripe.com/search#data-freshness)."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from gateway.sandbox.json_types import Json

LONGEST_LAG = 3600.0
"""The longest lag in seconds. Versions that a later one replaced longer ago are dropped."""


@dataclass
class SearchIndex:
    """Every customer's versions with the real time of each. ``None`` marks a deletion."""

    now: Callable[[], float] = time.monotonic
    _versions: dict[str, list[tuple[float, Json | None]]] = field(default_factory=dict)

    def watch(self, customers: dict[str, Json | None]) -> None:
        """Keep the new versions of changed customers."""
        moment = self.now()
        for customer, version in customers.items():
            known = self._versions.setdefault(customer, [])
            while len(known) > 1 and known[1][0] < moment - LONGEST_LAG:
                known.pop(0)
            known.append((moment, version))

    def customers(self, lag: float) -> Iterator[Json]:
        """Yield the customers as they were ``lag`` seconds ago, newest first."""
        visible = self.now() - lag
        for versions in reversed(self._versions.values()):
            seen = [version for moment, version in versions if moment <= visible]
            if seen and seen[-1] is not None:
                yield seen[-1]
