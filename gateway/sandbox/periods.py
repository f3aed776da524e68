"""Billing periods that follow the calendar, in UTC."""

import calendar
from datetime import UTC, datetime, timedelta

from gateway.sandbox.json_types import Json

_DAYS = {"day": 1, "week": 7}
_MONTHS = {"month": 1, "year": 12}


def boundary(anchor: int, recurring: Json, count: int) -> int:
    """Return the ``count``-th period boundary after the anchor.

    Every month keeps the anchor's day. A shorter month uses its last day, as in 31 January, 28 February, 31 March
    (https://docs.stripe.com/billing/subscriptions/billing-cycle).
    """
    start = datetime.fromtimestamp(anchor, UTC)
    steps = count * int(recurring["interval_count"])
    if recurring["interval"] in _DAYS:
        return int((start + timedelta(days=steps * _DAYS[recurring["interval"]])).timestamp())
    months = start.year * 12 + start.month - 1 + steps * _MONTHS[recurring["interval"]]
    year, month = months // 12, months % 12 + 1
    day = min(start.day, calendar.monthrange(year, month)[1])
    return int(start.replace(year=year, month=month, day=day).timestamp())


def containing(anchor: int, recurring: Json, moment: int) -> tuple[int, int]:
    """Return the period (start, end) that holds ``moment``. A boundary belongs to the period that it begins."""
    length = boundary(anchor, recurring, 1) - anchor
    count = (moment - anchor) // length
    while boundary(anchor, recurring, count) > moment:
        count -= 1
    while boundary(anchor, recurring, count + 1) <= moment:
        count += 1
    return boundary(anchor, recurring, count), boundary(anchor, recurring, count + 1)


def following(anchor: int, recurring: Json, period_end: int) -> tuple[int, int]:
    """Return the period after the one that ends at ``period_end``."""
    return containing(anchor, recurring, period_end)
