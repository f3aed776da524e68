"""The storage of meter events and their aggregation by a meter.

https://docs.stripe.com/billing/subscriptions/usage-based/meters/configure. Events are stored by meter, customer and day
(UTC). So reading a period's usage takes time for its days only, and not for every event ever reported.
"""

import time
from dataclasses import dataclass
from decimal import Decimal

from gateway.sandbox.json_types import Json
from gateway.sandbox.settings import DAY
from gateway.sandbox.work import Work

HOUR = 3600
WINDOWS = {"hour": HOUR, "day": DAY}
IDENTIFIER_SECONDS = DAY
"""How long an identifier cannot be used again and its event can be canceled."""


@dataclass(frozen=True)
class Event:
    """A use of ``value`` units at ``timestamp``.

    ``number`` counts all events from 1 in the order of their reports. ``received`` is the real time of the report.
    """

    identifier: str
    timestamp: int
    number: int
    value: Decimal
    received: float


def active_meter(work: Work, event_name: str) -> Json | None:
    """Return the active meter for events of this name, or None."""
    meters = (meter for meter in work.select("billing.meter") if meter["event_name"] == event_name)
    return next((meter for meter in meters if meter["status"] == "active"), None)


def record(work: Work, meter: str, customer: str, identifier: str, timestamp: int, value: Decimal) -> None:
    """Store an event."""
    event = Event(identifier, timestamp, reported(work) + 1, value, time.monotonic())
    day = _day(meter, customer, timestamp)
    work.note("usage", day, {"events": [*_kept(work, day), event]})
    work.note("meter_event", identifier, {"day": day, "meter": meter, "received": work.now})
    work.note("usage", "reported", {"number": event.number})


def reported(work: Work) -> int:
    """Return the number of the latest event."""
    return int((work.recall("usage", "reported") or {"number": 0})["number"])


def recent(work: Work, identifier: str) -> Json | None:
    """Return the note about an event received within the last 24 hours, or None."""
    known = work.recall("meter_event", identifier)
    return known if known and work.now - known["received"] < IDENTIFIER_SECONDS else None


def cancel(work: Work, identifier: str, day: str) -> None:
    """Remove an event. If two share the identifier, remove the later one."""
    kept = _kept(work, day)
    last = max((event.number for event in kept if event.identifier == identifier), default=0)
    work.note("usage", day, {"events": [event for event in kept if event.number != last]})


def events(work: Work, meter: str, customer: str, start: int, end: int, after: int = 0) -> list[Event]:
    """Return the events with ``start`` <= timestamp < ``end`` that come after number ``after``, oldest first.

    Stripe counts usage some time after it has accepted it. Events of the last ``usage_lag`` seconds are left out.
    https://docs.stripe.com/api/billing/meter-event-summary
    """
    counted = time.monotonic() - work.settings.usage_lag
    # A request may name any time. Events lie at most minutes ahead and never before 1970, so skip all other days.
    # Walking through them would make a request with a remote bound very slow.
    days = range(max(start - start % DAY, 0), min(end, work.now + DAY), DAY)
    found = [event for moment in days for event in _kept(work, _day(meter, customer, moment))]
    wanted = [
        event
        for event in found
        if start <= event.timestamp < end and event.number > after and event.received <= counted
    ]
    return sorted(wanted, key=lambda event: (event.timestamp, event.number))


def aggregate(meter: Json, found: list[Event]) -> Decimal:
    """Apply the meter's formula to events, which come oldest first.

    For a pre-aggregated meter, only the last event of each window counts.
    """
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
