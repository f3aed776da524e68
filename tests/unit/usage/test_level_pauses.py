"""The pauses between the changes of a quantity keep the pending items below Stripe's limit."""

from datetime import UTC, datetime, timedelta

from gateway.db.models import UsageLevel
from gateway.services.levels.follow import find_earliest_change

BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
STRIPES_LIMIT = 250  # pending items on an invoice


def count_changes(days: int, *, others: int = 0, at_once: bool = False) -> int:
    """Return how many changes a period has whose level changes every quarter of an hour."""
    end = BEGIN + timedelta(days=days)
    level = UsageLevel(organization_id="org_1", unit="services", value=1)
    changes, now = others, BEGIN
    while now < end:
        if find_earliest_change(level, end, changes, now, at_once=at_once) <= now:
            changes, level.changed_at = changes + 1, now
        now += timedelta(minutes=15)
    return changes


def test_quiet_month_has_a_change_every_eight_hours() -> None:
    assert count_changes(30) in (90, 91)


def test_no_period_meets_stripes_limit() -> None:
    for days, others, at_once in ((30, 60, False), (30, 118, True), (30, 0, True), (366, 0, False), (366, 90, True)):
        assert 2 * count_changes(days, others=others, at_once=at_once) < STRIPES_LIMIT


def test_level_waits_for_the_end_of_a_quote_also_if_it_is_urgent() -> None:
    until = BEGIN + timedelta(minutes=15)
    level = UsageLevel(organization_id="org_1", unit="services", value=1, quoted_until=until)
    assert find_earliest_change(level, BEGIN + timedelta(days=30), 0, BEGIN, at_once=True) == until
    about_to_end = BEGIN + timedelta(minutes=10)  # the quote ends with the period
    assert find_earliest_change(level, about_to_end, 0, BEGIN, at_once=False) == BEGIN
