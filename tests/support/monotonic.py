"""A monotonic clock that only the test moves."""


class MonotonicClock:
    """Returns the seconds in ``now``, as ``time.monotonic`` does."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now
