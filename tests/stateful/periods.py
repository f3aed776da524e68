"""Billing periods, worked out anew: nothing here comes from the sandbox."""

from calendar import monthrange
from datetime import UTC, datetime, timedelta

from tests.sandbox.support import Json


def length(anchor: int, recurring: Json, moment: int) -> int:
    """How many seconds the whole period has that holds ``moment``."""
    number = -1 - (anchor - moment) // 86400 if moment < anchor else 0
    while _boundary(anchor, recurring, number + 1) <= moment:
        number += 1
    return _boundary(anchor, recurring, number + 1) - _boundary(anchor, recurring, number)


def _boundary(anchor: int, recurring: Json, number: int) -> int:
    """The end of so many periods after the anchor; of a month too short for the anchor's day, the last day."""
    start = datetime.fromtimestamp(anchor, UTC)
    days = {"day": 1, "week": 7}.get(recurring["interval"])
    if days:
        return int((start + timedelta(days=days * number)).timestamp())
    year, month = divmod(start.year * 12 + start.month - 1 + number, 12)
    day = min(start.day, monthrange(year, month + 1)[1])
    return int(start.replace(year=year, month=month + 1, day=day).timestamp())
