"""Amounts that are spread evenly over intervals of time."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise

FOREVER = 2**62


@dataclass
class Rates:
    """The charges for each second, as a sum of pieces."""

    _pieces: list[tuple[int, int, Fraction]] = field(default_factory=list)
    """Start, end and amount per second of each piece. Overlapping pieces add up."""

    def spread(self, start: int, end: int, amount: Fraction | int) -> None:
        """Charge ``amount`` for ``start``…``end``, in addition to the other charges."""
        if start < end:
            self._pieces.append((start, end, Fraction(amount) / (end - start)))

    def add(self, other: "Rates") -> None:
        """Add the charges of ``other``."""
        self._pieces += other._pieces  # noqa: SLF001 - the same class

    def clear(self, start: int, end: int = FOREVER) -> None:
        """Remove all charges for ``start``…``end``."""
        kept = []
        for begin, stop, rate in self._pieces:
            kept += [(begin, min(stop, start), rate), (max(begin, end), stop, rate)]
        self._pieces = [(begin, stop, rate) for begin, stop, rate in kept if begin < stop]

    def over(self, start: int, end: int) -> Fraction:
        """Return the charges for ``start``…``end``."""
        return sum(
            (rate * max(0, min(end, stop) - max(start, begin)) for begin, stop, rate in self._pieces), Fraction(0)
        )

    def within(self, start: int, end: int) -> int:
        """Return how many pieces overlap ``start``…``end``."""
        return sum(begin < end and start < stop for begin, stop, _rate in self._pieces)

    def moments(self) -> set[int]:
        """Return the times at which a piece begins or ends."""
        return {moment for begin, stop, _rate in self._pieces for moment in (begin, stop)}


def intervals(*rates: Rates) -> Iterator[tuple[int, int]]:
    """Return the intervals in which none of the rates changes."""
    moments: set[int] = set().union(*(each.moments() for each in rates))
    return pairwise(sorted(moments))
