"""Calculates billing periods independently of the sandbox."""

from calendar import monthrange
from datetime import UTC, datetime, timedelta

from tests.stateful.sandbox_money.history import ObjectChange
from tests.support.json_types import Json


def length(anchor: int, recurring: Json, moment: int) -> int:
    """Return the length in seconds of the whole period that contains ``moment``."""
    number = -1 - (anchor - moment) // 86400 if moment < anchor else 0
    while _boundary(anchor, recurring, number + 1) <= moment:
        number += 1
    return _boundary(anchor, recurring, number + 1) - _boundary(anchor, recurring, number)


def _boundary(anchor: int, recurring: Json, number: int) -> int:
    """Return the end of period ``number`` after the anchor. A month without the anchor's day uses its last day."""
    start = datetime.fromtimestamp(anchor, UTC)
    days = {"day": 1, "week": 7}.get(recurring["interval"])
    if days:
        return int((start + timedelta(days=days * number)).timestamp())
    year, month = divmod(start.year * 12 + start.month - 1 + number, 12)
    day = min(start.day, monthrange(year, month + 1)[1])
    return int(start.replace(year=year, month=month + 1, day=day).timestamp())


def check_next(change: ObjectChange) -> None:
    """Check that time alone moves no anchor, and that each new period is whole and follows the last one."""
    old, new = change.before, change.after
    if new["object"] != "subscription" or change.request or not old or old["pending_update"]:
        return
    assert new["billing_cycle_anchor"] == old["billing_cycle_anchor"], (old, new)
    before = {item["id"]: item for item in old["items"]["data"]}
    for item in new["items"]["data"]:
        was = before[item["id"]]
        start, end = item["current_period_start"], item["current_period_end"]
        if start != was["current_period_start"]:
            assert start == was["current_period_end"], (was, item)
            whole = length(new["billing_cycle_anchor"], item["price"]["recurring"], start)
            assert end == start + whole or end == new["cancel_at"], (was, item)
