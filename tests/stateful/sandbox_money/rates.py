"""Amounts spread over time: so much a second from here to there."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise

FOREVER = 2**62


@dataclass
class Rates:
    """What is charged for each second, piece by piece."""

    _pieces: list[tuple[int, int, Fraction]] = field(default_factory=list)
    """Start, end, and how much more a second: pieces overlap, and add up."""

    def spread(self, start: int, end: int, amount: Fraction | int) -> None:
        """Charge ``amount`` for ``start``…``end``, besides what is charged already."""
        if start < end:
            self._pieces.append((start, end, Fraction(amount) / (end - start)))

    def add(self, other: "Rates") -> None:
        """Charge all that the other does, too."""
        self._pieces += other._pieces  # noqa: SLF001 - of its own kind

    def clear(self, start: int, end: int = FOREVER) -> None:
        """Nothing is charged for ``start``…``end`` any more."""
        kept = []
        for begin, stop, rate in self._pieces:
            kept += [(begin, min(stop, start), rate), (max(begin, end), stop, rate)]
        self._pieces = [(begin, stop, rate) for begin, stop, rate in kept if begin < stop]

    def over(self, start: int, end: int) -> Fraction:
        """All that is charged for ``start``…``end``."""
        return sum(
            (rate * max(0, min(end, stop) - max(start, begin)) for begin, stop, rate in self._pieces), Fraction(0)
        )

    def within(self, start: int, end: int) -> int:
        """How many pieces touch ``start``…``end``."""
        return sum(begin < end and start < stop for begin, stop, _rate in self._pieces)

    def moments(self) -> set[int]:
        """When anything begins or ends."""
        return {moment for begin, stop, _rate in self._pieces for moment in (begin, stop)}


def intervals(*rates: Rates) -> Iterator[tuple[int, int]]:
    """The stretches of time in which none of these changes."""
    moments: set[int] = set().union(*(each.moments() for each in rates))
    return pairwise(sorted(moments))
