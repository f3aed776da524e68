"""Claim a batch of the inbox's events, read it, merge it and mark it, in one transaction.

A killed worker leaves its batch unchanged, and another worker claims it. This module never calls Stripe. If only
Stripe knows a state, ``merge`` enqueues a refresh job with the batch, and ``mirror.refresh`` continues there.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

import structlog
from sqlalchemy import select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from gateway.db import jobs
from gateway.db.models import WebhookEvent
from gateway.db.queries import among
from gateway.db.session import is_busy
from gateway.errors import DatabaseUnavailable
from gateway.services.mirror.merge import merge
from gateway.services.mirror.outcome import Outcome
from gateway.services.mirror.tables import KINDS
from gateway.services.runtime import Gateway
from gateway.services.webhooks import thin
from gateway.services.webhooks.traces import trace_events
from gateway.stripe_api import json_text
from gateway.stripe_api.client import API_VERSION
from gateway.stripe_api.snapshots import (
    Event,
    Observation,
    SubscriptionSnapshot,
    UnreadableObject,
    unreadable,
    upcoming_of,
)

Handlers = Mapping[str, Callable[[Event], Sequence[Observation]]]

BATCH = 400
DUE_STATES = ("pending", "failed")
MAX_ATTEMPTS = 10  # with the backoff below, about a day
FIRST_RETRY, LONGEST_RETRY = timedelta(seconds=5), timedelta(hours=12)

log = structlog.get_logger()


class ClaimedEvent(NamedTuple):
    """The columns that are read of a due event."""

    id: str
    type: str
    object_id: str | None
    payload: bytes | None


@dataclass(frozen=True, slots=True)
class ReadEvent:
    """One event, and what its handler read from it."""

    event_id: str
    observations: Sequence[Observation]
    job: jobs.Wanted | None = None
    """The job that retrieves the data of a thin event."""


def drain_inbox(gateway: Gateway, handlers: Handlers) -> int:
    """Process every due event, and return how many events were processed."""
    total = 0
    while done := drain_batch(gateway, handlers):
        total += done
    return total


def drain_batch(gateway: Gateway, handlers: Handlers) -> int:
    """Process one batch, and return the number of its events.

    If the batch fails, try each event alone, so that one poison event does not stop the others.
    """
    ids: list[str] = []
    try:
        with gateway.database.transaction() as session:
            events = claim_events(session, gateway.clock())
            ids = [event.id for event in events]
            shown = merge_events(session, events, handlers, gateway.clock())
        if ids:
            log.info("events_merged", event_ids=ids, change_ids=sorted(shown))
            trace_events(gateway, shown)
    except Exception as error:  # `drain_event` finds and records the error with its event
        # A batch that exceeded a timeout would exceed it again, so its events are tried alone. If no event was claimed,
        # the inbox itself is locked.
        if isinstance(error, DatabaseUnavailable) and not (ids and is_busy(error.__cause__)):
            raise
        log.warning("batch_failed", events=len(ids), exc_info=True)
        for event_id in ids:
            drain_event(gateway, handlers, event_id)
    return len(ids)


def drain_event(gateway: Gateway, handlers: Handlers, event_id: str) -> None:
    """Process one event alone, and record a failure with it."""
    try:
        with gateway.database.transaction() as session:
            events = claim_events(session, gateway.clock(), event_id)
            shown = merge_events(session, events, handlers, gateway.clock())
        log.info("events_merged", event_ids=[event.id for event in events], change_ids=sorted(shown))
        trace_events(gateway, shown)
    except Exception as error:  # any error is recorded, and the event is retried or becomes dead
        if isinstance(error, DatabaseUnavailable) and not is_busy(error.__cause__):
            raise
        log.warning("event_failed", event_id=event_id, exc_info=True)
        with gateway.database.transaction() as session:
            record_failure(session, event_id, error, gateway.clock())


def claim_events(session: Session, now: datetime, event_id: str | None = None) -> list[ClaimedEvent]:
    """Lock the due events that no other worker has locked, and return them, oldest first."""
    query = (
        select(*(getattr(WebhookEvent, name) for name in ClaimedEvent._fields))
        .where(WebhookEvent.state.in_(DUE_STATES), WebhookEvent.next_attempt_at <= now)
        .order_by(WebhookEvent.next_attempt_at)
        .limit(BATCH)
        .with_for_update(skip_locked=True)
    )
    if event_id is not None:
        query = query.where(WebhookEvent.id == event_id)
    return [ClaimedEvent(*row) for row in session.execute(query)]


def merge_events(session: Session, events: Sequence[ClaimedEvent], handlers: Handlers, now: datetime) -> dict[str, str]:
    """Merge what the events show, and mark each one done or ignored.

    Return the ids of the plan changes that the shown subscriptions name, each with the last event that shows it.
    """
    if not events:
        return {}
    reads = [read_event(event, handlers) for event in events]
    outcomes = iter(merge(session, [observation for each in reads for observation in each.observations], now))
    jobs.defer_all(session, [each.job for each in reads if each.job is not None])
    states: dict[str, list[str]] = {"done": [], "ignored": []}
    for each in reads:
        own_outcomes = [next(outcomes) for _ in each.observations]
        useful = each.job is not None or any(outcome is not Outcome.UNKNOWN for outcome in own_outcomes)
        states["done" if useful else "ignored"].append(each.event_id)
    for state, ids in states.items():
        if ids:
            values = {"state": state, "processed_at": now, "error": None}
            session.execute(
                update(WebhookEvent).where(among(WebhookEvent.id, ids)).values(values),
                execution_options={"synchronize_session": False},
            )
    shown = [(each, seen) for each in reads for seen in each.observations if isinstance(seen, SubscriptionSnapshot)]
    return {seen.change_id: each.event_id for each, seen in shown if seen.change_id is not None}


def read_event(stored: ClaimedEvent, handlers: Handlers) -> ReadEvent:
    """Read an event with its type's handler.

    If the handler must not or cannot read the object, ask for a refresh instead of guessing.
    """
    if stored.type in thin.TASKS:
        return ReadEvent(stored.id, (), thin.build_job(stored.id, stored.type))
    handler = handlers.get(stored.type)
    if handler is None or stored.payload is None:  # a constraint ensures that every due event has a payload
        return ReadEvent(stored.id, ())
    event = Event.from_json(json_text.loads(stored.payload))
    kind = find_mirrored_kind(event)
    # Handlers read only ids from an object that is not mirrored, and ids are the same in every API version.
    if kind is not None and (reason := find_distrust_reason(event)) is not None:
        return request_refresh(stored, event, kind, reason)
    try:
        return ReadEvent(stored.id, handler(event))
    except UnreadableObject as error:
        if kind is None:
            raise
        return request_refresh(stored, event, kind, str(error))


def find_distrust_reason(event: Event) -> str | None:
    """Return the reason not to read an event's object as it stands, or None."""
    if event.api_version != API_VERSION:
        return f"api_version {event.api_version}"
    if event.odd_previous:
        return "previous_attributes cannot be read"
    return "of no kind" if "object" not in event.object else None


def find_mirrored_kind(event: Event) -> str | None:
    """Return the kind of the event's object, or None if the mirror does not keep such objects.

    If the object does not name its kind, the event's type does.
    """
    kind = event.object.get("object", event.type.rpartition(".")[0].rpartition(".")[2])
    if kind == "invoice" and event.object.get("id") is None:
        return "upcoming_invoice"
    return kind if isinstance(kind, str) and kind in KINDS else None


def request_refresh(stored: ClaimedEvent, event: Event, kind: str, reason: str) -> ReadEvent:
    """Return a reference to the object, so that the merge enqueues its refresh.

    Raises UnreadableObject if the object has no id to retrieve it by.
    """
    stripe_id = upcoming_of(event.object) if kind == "upcoming_invoice" else stored.object_id
    if stripe_id is None:
        raise UnreadableObject(reason)
    log.warning("event_refreshed", event_id=stored.id, type=stored.type, reason=reason)
    return ReadEvent(stored.id, [unreadable(event, kind, stripe_id)])


def record_failure(session: Session, event_id: str, error: Exception, now: datetime) -> None:
    """Store the error with the event, and plan the next attempt or give up."""
    event = session.get_one(WebhookEvent, event_id, with_for_update=True)
    if event.state not in DUE_STATES:  # another worker has processed it
        return
    event.attempts += 1
    # Store only the first line. PostgreSQL's DETAIL quotes whole rows, with people's names in them. Take the driver's
    # line, because SQLAlchemy's first line may be only a remark about autoflush.
    cause = error.orig if isinstance(error, DBAPIError) else error
    event.error = f"{type(error).__name__}: {cause}".partition("\n")[0][:2000].replace("\0", "")
    event.state = "dead" if event.attempts >= MAX_ATTEMPTS else "failed"
    event.next_attempt_at = now + compute_backoff(event.attempts)


def compute_backoff(attempts: int) -> timedelta:
    """Return the wait before the next attempt: four times as long after each failure, up to a limit.

    The wait is random within a range, so that events that failed together do not return together.
    """
    return min(FIRST_RETRY * (1 << 2 * (attempts - 1)), LONGEST_RETRY) * random.uniform(0.5, 1.0)  # nosec B311  # noqa: S311 - no secret
