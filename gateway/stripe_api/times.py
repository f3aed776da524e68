"""Stripe's times are whole Unix seconds; ours are aware datetimes in UTC."""

from datetime import UTC, datetime
from typing import overload


@overload
def from_unix(seconds: int) -> datetime: ...
@overload
def from_unix(seconds: int | None) -> datetime | None: ...
def from_unix(seconds: int | None) -> datetime | None:
    """The aware datetime of ``seconds``; None stays None."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def to_unix(time: datetime) -> int:
    """Whole Unix seconds, rounded down."""
    return int(time.timestamp())
