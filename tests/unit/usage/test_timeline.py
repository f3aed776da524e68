"""The part of an hour to which usage belongs."""

from datetime import UTC, datetime

from gateway.services.usage.timeline import Timeline

HOUR = datetime(2026, 11, 16, 9, tzinfo=UTC)
TEN_PAST, HALF_PAST = HOUR.replace(minute=10), HOUR.replace(minute=30)


def test_without_boundaries_usage_belongs_to_its_hour() -> None:
    assert Timeline().find_start(HALF_PAST) == HOUR
    assert Timeline().find_plan(HALF_PAST) is None


def test_boundary_divides_its_hour() -> None:
    timeline = Timeline(since=[TEN_PAST], plans=["plus"], boundaries=[TEN_PAST])
    assert timeline.find_start(HOUR) == HOUR
    assert timeline.find_start(TEN_PAST) == timeline.find_start(HALF_PAST) == TEN_PAST
    assert (timeline.find_plan(HOUR), timeline.find_plan(TEN_PAST)) == (None, "plus")


def test_boundary_of_an_earlier_hour_divides_nothing() -> None:
    timeline = Timeline(since=[HOUR.replace(hour=7)], plans=["plus"], boundaries=[HOUR.replace(hour=7)])
    assert timeline.find_start(HALF_PAST) == HOUR
