"""Count in PostgreSQL what callers do, within windows of time that all machines share.

A window begins with its first count. PostgreSQL's clock ends it, because the machines' clocks differ.
"""

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from limits import RateLimitItem
from sqlalchemy import delete, func

from gateway.db.models import RateLimitCount

# One statement counts under all keys, and its locks end with it. Two statements with keys in another order would
# deadlock, so this one sorts them. A release counts -1, and must not fall below 0 if a new window has begun.
COUNT = """
    INSERT INTO rate_limit_counts AS known (key, count, expires_at)
    SELECT key, greatest(%(amount)s, 0), statement_timestamp() + make_interval(secs => seconds)
    FROM unnest(%(keys)s::text[], %(seconds)s::integer[]) AS wanted (key, seconds)
    ORDER BY key
    ON CONFLICT (key) DO UPDATE SET
        count = greatest(0,
            CASE WHEN known.expires_at > statement_timestamp() THEN known.count ELSE 0 END + %(amount)s::bigint),
        expires_at =
            CASE WHEN known.expires_at > statement_timestamp() THEN known.expires_at ELSE excluded.expires_at END
    RETURNING key, count, extract(epoch FROM expires_at - statement_timestamp())
"""
FIND = """
    SELECT key, count, extract(epoch FROM expires_at - statement_timestamp()) FROM rate_limit_counts
    WHERE key = ANY(%(keys)s::text[]) AND expires_at > statement_timestamp()
"""
PRUNE = delete(RateLimitCount).where(RateLimitCount.expires_at <= func.statement_timestamp())


@dataclass(frozen=True, kw_only=True)
class Window:
    """What was counted under a key, and the seconds until its window ends."""

    count: int
    seconds: float


def digest(text: str) -> str:
    """Return what stands for a caller in a key. It hides personal data, and bounds the key's length."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:32]


def build_parameters(windows: Iterable[tuple[str, int]], amount: int) -> dict[str, Any]:
    """Return the parameters of ``COUNT`` for pairs of a key and its window's length in seconds."""
    pairs = list(windows)
    return {"keys": [key for key, _ in pairs], "seconds": [seconds for _, seconds in pairs], "amount": amount}


def read_windows(rows: Iterable[Sequence[Any]]) -> dict[str, Window]:
    """Return the windows that ``COUNT`` or ``FIND`` found, by key."""
    return {key: Window(count=count, seconds=float(seconds)) for key, count, seconds in rows}


def find_wait(windows: dict[str, Window], limits: dict[str, RateLimitItem], *, next_one: int = 0) -> int | None:
    """Return the whole seconds until none of the limits is exceeded. Return None if none is.

    ``limits`` has the keys of ``windows``. ``next_one`` is what would be counted next.
    """
    exceeded = [each.seconds for key, each in windows.items() if each.count + next_one > limits[key].amount]
    return math.ceil(max(exceeded)) if exceeded else None
