"""Billing periods, worked out anew: nothing here comes from the sandbox."""

from calendar import monthrange
from datetime import UTC, datetime, timedelta

from tests.stateful.sandbox_money.history import ObjectChange
from tests.support.json_types import Json


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


def check_next(change: ObjectChange) -> None:
    """Time alone moves no anchor; the period it begins is the one after the last, and a whole one."""
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
