"""The moments at which objects fall due, in one heap for the sandbox's clock and one for each test clock."""

import heapq
from collections import defaultdict
from dataclasses import dataclass, field

from gateway.sandbox.json_types import Json

Entry = tuple[int, int, str, str]
"""Unix seconds, order of entry, and the kind and id of the object to check."""


@dataclass
class Timeline:
    """Reminders to check objects. Only the state of an object says whether something is really due."""

    _heaps: dict[str | None, list[Entry]] = field(default_factory=lambda: defaultdict(list))
    _entered: int = 0

    def put(self, clock: str | None, at: int, obj: Json) -> None:
        """Add a reminder to check the object at this moment of this clock."""
        self._entered += 1
        heapq.heappush(self._heaps[clock], (at, self._entered, obj["object"], obj["id"]))

    def pop(self, clock: str | None, until: int) -> Entry | None:
        """Remove and return the earliest entry up to ``until``. Entries of one second keep the order of ``put()``."""
        heap = self._heaps[clock]
        return heapq.heappop(heap) if heap and heap[0][0] <= until else None

    def forget(self, clock: str) -> None:
        """Drop the entries of a deleted test clock."""
        self._heaps.pop(clock, None)
