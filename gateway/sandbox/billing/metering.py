"""Meter events as they are kept, and what a meter makes of them.

https://docs.stripe.com/billing/subscriptions/usage-based/meters/configure. They are kept by meter, customer and day
(UTC), so that a period's usage costs its days, not all that was ever reported.
"""

from dataclasses import dataclass
from decimal import Decimal

from gateway.sandbox.json_types import Json
from gateway.sandbox.settings import DAY
from gateway.sandbox.work import Work

HOUR = 3600
WINDOWS = {"hour": HOUR, "day": DAY}
IDENTIFIER_SECONDS = DAY
"""For so long an identifier is not taken twice, and its event can be canceled."""


@dataclass(frozen=True)
class Event:
    """``value`` units used at ``timestamp``; ``number`` counts events in the order they were reported, from 1."""

    identifier: str
    timestamp: int
    number: int
    value: Decimal


def active_meter(work: Work, event_name: str) -> Json | None:
    """The one meter that takes events of this name."""
    meters = (meter for meter in work.select("billing.meter") if meter["event_name"] == event_name)
    return next((meter for meter in meters if meter["status"] == "active"), None)


def record(work: Work, meter: str, customer: str, identifier: str, timestamp: int, value: Decimal) -> None:
    """Count an event."""
    event = Event(identifier, timestamp, reported(work) + 1, value)
    day = _day(meter, customer, timestamp)
    work.note("usage", day, {"events": [*_kept(work, day), event]})
    work.note("meter_event", identifier, {"day": day, "meter": meter, "received": work.now})
    work.note("usage", "reported", {"number": event.number})


def reported(work: Work) -> int:
    """The number of the latest event of all."""
    return int((work.recall("usage", "reported") or {"number": 0})["number"])


def recent(work: Work, identifier: str) -> Json | None:
    """What is known of an event received within the last 24 hours."""
    known = work.recall("meter_event", identifier)
    return known if known and work.now - known["received"] < IDENTIFIER_SECONDS else None


def cancel(work: Work, identifier: str, day: str) -> None:
    """Count an event no longer; of two that share an identifier, the later one."""
    kept = _kept(work, day)
    last = max((event.number for event in kept if event.identifier == identifier), default=0)
    work.note("usage", day, {"events": [event for event in kept if event.number != last]})


def events(work: Work, meter: str, customer: str, start: int, end: int, after: int = 0) -> list[Event]:
    """Those of ``start`` <= timestamp < ``end`` that were reported after number ``after``, oldest first."""
    # A summary may be asked for any time, but nothing is reported of more than minutes ahead, or of before 1970.
    days = range(max(start - start % DAY, 0), min(end, work.now + DAY), DAY)
    found = [event for moment in days for event in _kept(work, _day(meter, customer, moment))]
    wanted = [event for event in found if start <= event.timestamp < end and event.number > after]
    return sorted(wanted, key=lambda event: (event.timestamp, event.number))


def aggregate(meter: Json, found: list[Event]) -> Decimal:
    """The meter's formula over events, oldest first; of each window of a pre-aggregated meter only the last counts."""
    if meter["event_time_window"]:
        size = WINDOWS[meter["event_time_window"]]
        found = list({event.timestamp // size: event for event in found}.values())
    formula = meter["default_aggregation"]["formula"]
    if formula == "count":
        return Decimal(len(found))
    if formula == "last":
        return found[-1].value if found else Decimal(0)
    return sum((event.value for event in found), Decimal(0))


def _day(meter: str, customer: str, timestamp: int) -> str:
    return f"{meter}/{customer}/{timestamp // DAY}"


def _kept(work: Work, day: str) -> list[Event]:
    found: list[Event] = (work.recall("usage", day) or {"events": []})["events"]
    return found
