"""The storage in memory that Flask-Limiter counts in. The library's own starts a thread for every second count."""

from threading import Lock
from time import time as read_clock

from limits.storage import Storage

SCHEME = "gateway-process"
PRUNE_EVERY = 60.0  # seconds
NOTHING = (0, 0.0)


class ProcessStorage(Storage):
    """Counts for fixed windows of this process. A window begins with its first count.

    ``limits`` finds the class by its scheme.
    """

    STORAGE_SCHEME = [SCHEME]  # noqa: RUF012 - the base class declares it so

    def __init__(self, uri: str | None = None, *, wrap_exceptions: bool = False) -> None:
        super().__init__(uri, wrap_exceptions=wrap_exceptions)
        self._counts: dict[str, tuple[int, float]] = {}
        """Each count with the Unix time at which its window ends."""
        self._pruned_at = read_clock()
        self._lock = Lock()

    @property
    def base_exceptions(self) -> type[Exception]:
        """The error of a storage that fails, which this one never does."""
        return ValueError

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Return the count after counting ``amount``."""
        now = read_clock()
        with self._lock:
            count, end = self._counts.get(key, NOTHING)
            if end <= now:
                count, end = 0, now + expiry
            self._counts[key] = count + amount, end
            if now - self._pruned_at >= PRUNE_EVERY:
                self._counts = {each: known for each, known in self._counts.items() if known[1] > now}
                self._pruned_at = now
        return count + amount

    def get(self, key: str) -> int:
        """Return the count of the present window."""
        count, end = self._counts.get(key, NOTHING)
        return count if end > read_clock() else 0

    def get_expiry(self, key: str) -> float:
        """Return the Unix time at which the window ends."""
        return max(self._counts.get(key, NOTHING)[1], read_clock())

    def check(self) -> bool:
        """Return True, because memory is always there."""
        return True

    def reset(self) -> int:
        """Forget all counts, and return how many there were."""
        with self._lock:
            forgotten, self._counts = len(self._counts), {}
        return forgotten

    def clear(self, key: str) -> None:
        """Forget one count."""
        with self._lock:
            self._counts.pop(key, None)
