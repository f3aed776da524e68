"""Store usage events, and add them up in the reports that ``report_to_stripe`` sends."""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

import structlog
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError

from gateway.catalog.plans import Meter
from gateway.db.models import UsageEvent
from gateway.db.queries import among
from gateway.errors import DatabaseUnavailable
from gateway.services.runtime import Gateway
from gateway.services.usage.timeline import Timeline, load_timelines
from schemas.usage import SentEvent

OLDEST, NEWEST = timedelta(days=35), timedelta(minutes=5)
"""Stripe refuses usage that occurred longer ago or further ahead. https://docs.stripe.com/api/v2/billing/meter-event"""
SEALED_AFTER = timedelta(minutes=2)
"""A report adds up the events that arrive in one minute, and is sent this long after that minute began.

The minute between is for transactions that are still running."""
NAMESPACE = uuid.UUID("6f1c6a0e-7f0f-4d55-9d07-6a6f3c1f2b11")

log = structlog.get_logger()

# One statement stores the events and adds the new ones up. So an event counts if and only if it is stored. Both inserts
# are sorted, because two processes that lock the same rows in another order would deadlock.
STORE = text("""
    WITH stored AS (
        INSERT INTO usage_events (id, organization_id, meter, quantity, occurred_at, report_id)
        SELECT * FROM unnest(CAST(:ids AS text[]), CAST(:organizations AS text[]), CAST(:meters AS text[]),
            CAST(:quantities AS bigint[]), CAST(:times AS timestamptz[]), CAST(:reports AS uuid[]))
            AS sent (id, organization_id, meter, quantity, occurred_at, report_id)
        ORDER BY id
        ON CONFLICT DO NOTHING
        RETURNING id, quantity, occurred_at, report_id
    ), counted AS (
        INSERT INTO usage_reports AS report (id, organization_id, meter, aggregation, starts_at, occurred_at, quantity,
            events, state, next_attempt_at)
        SELECT wanted.id, wanted.organization_id, wanted.meter, wanted.aggregation, wanted.starts_at,
            max(stored.occurred_at),
            CASE wanted.aggregation WHEN 'sum' THEN sum(stored.quantity) WHEN 'count' THEN count(*)
                ELSE (array_agg(stored.quantity ORDER BY stored.occurred_at DESC, stored.id DESC))[1] END,
            count(*), wanted.state, :due
        FROM unnest(CAST(:report_ids AS uuid[]), CAST(:owners AS text[]), CAST(:report_meters AS text[]),
            CAST(:aggregations AS text[]), CAST(:starts AS timestamptz[]), CAST(:states AS text[]))
            AS wanted (id, organization_id, meter, aggregation, starts_at, state)
        JOIN stored ON stored.report_id = wanted.id
        GROUP BY wanted.id, wanted.organization_id, wanted.meter, wanted.aggregation, wanted.starts_at, wanted.state
        ORDER BY wanted.id
        ON CONFLICT (id) DO UPDATE SET
            quantity = CASE WHEN report.aggregation <> 'last' THEN report.quantity + excluded.quantity
                WHEN excluded.occurred_at >= report.occurred_at THEN excluded.quantity ELSE report.quantity END,
            events = report.events + excluded.events,
            occurred_at = greatest(report.occurred_at, excluded.occurred_at)
    )
    SELECT id FROM stored
""")


class Refusal(StrEnum):
    """Why the gateway does not store an event."""

    UNKNOWN_METER = "unknown_meter"
    TOO_OLD = "too_old"
    TOO_FAR_AHEAD = "too_far_ahead"
    ID_REUSED = "id_reused"
    """Another event has this id."""


@dataclass(frozen=True)
class Report:
    """A report that events are added to."""

    id: uuid.UUID
    organization_id: str
    meter: str
    aggregation: str
    starts_at: datetime
    state: str


@dataclass
class Recorded:
    """What became of the events of one call, by their ids."""

    new: list[str] = field(default_factory=list)
    known: list[str] = field(default_factory=list)
    refused: dict[str, Refusal] = field(default_factory=dict)


def record_usage(gateway: Gateway, sent: Sequence[SentEvent]) -> Recorded:
    """Store the events that are new. An event with a known id and the same content changes nothing.

    Raise DatabaseUnavailable. Then the caller does not know whether they are stored, and should send them again.
    """
    now = gateway.clock()
    meters = {each.key: each for each in gateway.catalog.meters}
    recorded = Recorded()
    accepted: dict[str, SentEvent] = {}
    for event in sent:
        if (refusal := find_refusal(event, meters, now)) is not None:
            recorded.refused[event.id] = refusal
        elif accepted.setdefault(event.id, event) != event:
            recorded.refused[event.id] = Refusal.ID_REUSED
    accepted = {each.id: each for each in accepted.values() if each.id not in recorded.refused}
    if not accepted:
        return recorded
    recorded.new = store_events(gateway, accepted, meters, now)
    if repeated := accepted.keys() - set(recorded.new):
        reused = find_reused_ids(gateway, [accepted[each] for each in repeated])
        recorded.refused |= dict.fromkeys(sorted(reused), Refusal.ID_REUSED)
        recorded.known = [each for each in accepted if each in repeated and each not in reused]
    return recorded


def find_refusal(event: SentEvent, meters: Mapping[str, Meter], now: datetime) -> Refusal | None:
    """Return the reason for which Stripe would refuse the event, or None."""
    if event.meter not in meters:
        return Refusal.UNKNOWN_METER
    if event.occurred_at < now - OLDEST:
        return Refusal.TOO_OLD
    return Refusal.TOO_FAR_AHEAD if event.occurred_at > now + NEWEST else None


def store_events(
    gateway: Gateway, events: Mapping[str, SentEvent], meters: Mapping[str, Meter], now: datetime
) -> list[str]:
    """Store the events and return the ids of the new ones. Raise DatabaseUnavailable.

    If a downgrade has sent a report of this minute early, its events go into the next minute's reports.
    """
    window = now.replace(second=0, microsecond=0)
    try:
        return add_to_reports(gateway, events, meters, window)
    except IntegrityError:
        log.info("usage_report_sent_early", exc_info=True)
    try:
        return add_to_reports(gateway, events, meters, window + timedelta(minutes=1))
    except IntegrityError as error:  # the request took so long that the next minute's were sent too
        raise DatabaseUnavailable("The events took too long to store. Please try again.") from error


def add_to_reports(
    gateway: Gateway, events: Mapping[str, SentEvent], meters: Mapping[str, Meter], window: datetime
) -> list[str]:
    """Store the events and add the new ones to the reports of the minute ``window``, in one transaction.

    Return the ids of the new ones. Raise IntegrityError if one of the reports was sent, and nothing is stored then.
    """
    timelines = load_timelines(
        gateway, {each.organization_id for each in events.values()}, min(each.occurred_at for each in events.values())
    )
    reports = [
        choose_report(gateway, each, meters[each.meter], timelines[each.organization_id], window)
        for each in events.values()
    ]
    distinct = list({each.id: each for each in reports}.values())
    values = {
        "ids": list(events),
        "organizations": [each.organization_id for each in events.values()],
        "meters": [each.meter for each in events.values()],
        "quantities": [each.quantity for each in events.values()],
        "times": [each.occurred_at for each in events.values()],
        "reports": [each.id for each in reports],
        "report_ids": [each.id for each in distinct],
        "owners": [each.organization_id for each in distinct],
        "report_meters": [each.meter for each in distinct],
        "aggregations": [each.aggregation for each in distinct],
        "starts": [each.starts_at for each in distinct],
        "states": [each.state for each in distinct],
        "due": window + SEALED_AFTER,
    }
    new = {row.id for row in gateway.database.fetch(STORE, values)}
    return [each for each in events if each in new]


def choose_report(gateway: Gateway, event: SentEvent, meter: Meter, timeline: Timeline, window: datetime) -> Report:
    """Return the report that adds the event up.

    Stripe counts the events of a meter that counts, so each of them has a report of its own.

    Stripe bills usage at the price in force when it is reported. It would bill the usage of the floor plan if that was
    reported after an upgrade, so such usage is never reported.
    https://docs.stripe.com/billing/subscriptions/billing-mode/compare
    """
    starts_at = timeline.find_start(event.occurred_at)
    is_billed = timeline.find_plan(event.occurred_at) not in (None, gateway.catalog.floor.key)
    state = "open" if is_billed else "not_billed"
    alone = event.id if meter.aggregation == "count" else ""
    parts: Iterable[object] = (
        event.organization_id,
        meter.key,
        starts_at.isoformat(),
        window.isoformat(),
        state,
        alone,
    )
    report_id = uuid.uuid5(NAMESPACE, "\n".join(map(str, parts)))
    return Report(report_id, event.organization_id, meter.key, meter.aggregation, starts_at, state)


def find_reused_ids(gateway: Gateway, repeated: Sequence[SentEvent]) -> set[str]:
    """Return the ids under which another event is stored than the one that was sent."""
    stored = select(*(getattr(UsageEvent, name) for name in SentEvent._fields))
    with gateway.database.reading() as session:
        rows = session.execute(stored.where(among(UsageEvent.id, [each.id for each in repeated])))
        known = {SentEvent(*row) for row in rows}
    return {each.id for each in repeated if each not in known}
