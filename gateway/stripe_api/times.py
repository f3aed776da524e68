"""Conversions between Stripe's times (whole Unix seconds) and ours (aware datetimes in UTC)."""

from datetime import UTC, datetime


def from_unix(seconds: int) -> datetime:
    """Return the aware datetime of ``seconds``. Raise TypeError, ValueError or OverflowError for an invalid time."""
    return datetime.fromtimestamp(seconds, UTC)


def from_unix_or_none(seconds: int | None) -> datetime | None:
    """Return the aware datetime of ``seconds``, or None where Stripe sent null."""
    return None if seconds is None else from_unix(seconds)


def to_unix(time: datetime) -> int:
    """Return ``time`` in whole Unix seconds, rounded down."""
    return int(time.timestamp())
