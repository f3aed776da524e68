"""What falls due when: one heap of moments for the real clock, and one for each test clock."""

import heapq
from collections import defaultdict
from dataclasses import dataclass, field

from gateway.sandbox.json_types import Json

Entry = tuple[int, int, str, str]
"""Unix seconds, order of entry, kind and id of the object to look at."""


@dataclass
class Timeline:
    """Hints, not facts: an entry says when to look at an object again; whether anything is due, its state says."""

    _heaps: dict[str | None, list[Entry]] = field(default_factory=lambda: defaultdict(list))
    _entered: int = 0

    def put(self, clock: str | None, at: int, obj: Json) -> None:
        """Look at the object at this moment of this clock."""
        self._entered += 1
        heapq.heappush(self._heaps[clock], (at, self._entered, obj["object"], obj["id"]))

    def pop(self, clock: str | None, until: int) -> Entry | None:
        """The earliest entry not after ``until``; those of one second in the order they were put in."""
        heap = self._heaps[clock]
        return heapq.heappop(heap) if heap and heap[0][0] <= until else None

    def forget(self, clock: str) -> None:
        """A test clock that is gone."""
        self._heaps.pop(clock, None)
