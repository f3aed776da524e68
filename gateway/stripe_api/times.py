"""Stripe's times are whole Unix seconds; ours are aware datetimes in UTC."""

from datetime import UTC, datetime


def from_unix(seconds: int) -> datetime:
    """The aware datetime of ``seconds``. Raises TypeError, ValueError or OverflowError if it is no such time."""
    return datetime.fromtimestamp(seconds, UTC)


def from_unix_or_none(seconds: int | None) -> datetime | None:
    """The same where Stripe may say null."""
    return None if seconds is None else from_unix(seconds)


def to_unix(time: datetime) -> int:
    """Whole Unix seconds, rounded down."""
    return int(time.timestamp())
