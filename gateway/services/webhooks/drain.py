"""The inbox's back door: claim a batch, read it, merge it, mark it, in one transaction.

A worker that is killed leaves its batch as it was: nothing is half done, and another worker takes it up. Stripe is
never called in here; what only Stripe can tell is left to a refresh job that commits with the batch.
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

from gateway.db.models import WebhookEvent
from gateway.db.queries import among
from gateway.errors import DatabaseUnavailable
from gateway.services.mirror.batch import Outcome
from gateway.services.mirror.merge import merge
from gateway.services.mirror.tables import KINDS
from gateway.services.runtime import Gateway
from gateway.stripe_api import json_text
from gateway.stripe_api.client import API_VERSION
from gateway.stripe_api.snapshots import Event, Observation, UnreadableObject, unreadable, upcoming_of

Handlers = Mapping[str, Callable[[Event], Sequence[Observation]]]

BATCH = 400
DUE_STATES = ("pending", "failed")
MAX_ATTEMPTS = 10  # with the backoff below: about a day
FIRST_RETRY, LONGEST_RETRY = timedelta(seconds=5), timedelta(hours=12)

log = structlog.get_logger()


class ClaimedEvent(NamedTuple):
    """What is read of an event that is due."""

    id: str
    type: str
    object_id: str | None
    payload: bytes | None


@dataclass(frozen=True, slots=True)
class ReadEvent:
    """What a handler made of one event."""

    event_id: str
    observations: Sequence[Observation]


def drain_inbox(gateway: Gateway, handlers: Handlers) -> int:
    """Work off everything that is due; gives the number of events that were looked at."""
    total = 0
    while done := drain_batch(gateway, handlers):
        total += done
    return total


def drain_batch(gateway: Gateway, handlers: Handlers) -> int:
    """Work off one batch. If it fails, each of its events is tried alone, so that one poison event stops no other."""
    ids: list[str] = []
    try:
        with gateway.database.transaction() as session:
            events = claim_events(session, gateway.clock())
            ids = [event.id for event in events]
            merge_events(session, events, handlers, gateway.clock())
    except DatabaseUnavailable:
        raise
    except Exception:  # whatever it was, it is found and recorded event by event
        log.warning("batch_failed", events=len(ids), exc_info=True)
        for event_id in ids:
            drain_event(gateway, handlers, event_id)
    return len(ids)


def drain_event(gateway: Gateway, handlers: Handlers, event_id: str) -> None:
    """Work off one event; a failure is recorded with it."""
    try:
        with gateway.database.transaction() as session:
            merge_events(session, claim_events(session, gateway.clock(), event_id), handlers, gateway.clock())
    except DatabaseUnavailable:
        raise
    except Exception as error:  # whatever it was, the event keeps it, and is tried again or given up
        log.warning("event_failed", event_id=event_id, exc_info=True)
        with gateway.database.transaction() as session:
            record_failure(session, event_id, error, gateway.clock())


def claim_events(session: Session, now: datetime, event_id: str | None = None) -> list[ClaimedEvent]:
    """Lock events that are due and that no other worker holds, oldest first."""
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


def merge_events(session: Session, events: Sequence[ClaimedEvent], handlers: Handlers, now: datetime) -> None:
    """Merge what the events say, and mark them."""
    if not events:
        return
    reads = [read_event(event, handlers) for event in events]
    outcomes = iter(merge(session, [observation for each in reads for observation in each.observations], now))
    states: dict[str, list[str]] = {"done": [], "ignored": []}
    for each in reads:
        own_outcomes = [next(outcomes) for _ in each.observations]
        useful = any(outcome is not Outcome.UNKNOWN for outcome in own_outcomes)
        states["done" if useful else "ignored"].append(each.event_id)
    for state, ids in states.items():
        if ids:
            values = {"state": state, "processed_at": now, "error": None}
            session.execute(
                update(WebhookEvent).where(among(WebhookEvent.id, ids)).values(values),
                execution_options={"synchronize_session": False},
            )


def read_event(stored: ClaimedEvent, handlers: Handlers) -> ReadEvent:
    """Let the type's handler read a stored event; what it must not or cannot read is looked up instead of guessed."""
    handler = handlers.get(stored.type)
    if handler is None or stored.payload is None:  # the database sees to it that no due event is without
        return ReadEvent(stored.id, ())
    event = Event.from_json(json_text.loads(stored.payload))
    kind = find_mirrored_kind(event)
    # An object that is not mirrored has nothing but references read from it, and ids are the same in every version.
    if kind is not None and (reason := find_distrust_reason(event)) is not None:
        return request_refresh(stored, event, kind, reason)
    try:
        return ReadEvent(stored.id, handler(event))
    except UnreadableObject as error:
        if kind is None:
            raise
        return request_refresh(stored, event, kind, str(error))


def find_distrust_reason(event: Event) -> str | None:
    """Why an event's object is not to be read as it stands, if so."""
    if event.api_version != API_VERSION:
        return f"api_version {event.api_version}"
    if event.odd_previous:
        return "previous_attributes cannot be read"
    return "of no kind" if "object" not in event.object else None


def find_mirrored_kind(event: Event) -> str | None:
    """The kind of the event's object, if the mirror keeps such objects; the event's type tells it, if it does not."""
    kind = event.object.get("object", event.type.rpartition(".")[0].rpartition(".")[2])
    if kind == "invoice" and event.object.get("id") is None:
        return "upcoming_invoice"
    return kind if isinstance(kind, str) and kind in KINDS else None


def request_refresh(stored: ClaimedEvent, event: Event, kind: str, reason: str) -> ReadEvent:
    """Ask Stripe for the object instead. Raises UnreadableObject if it cannot be asked for."""
    stripe_id = upcoming_of(event.object) if kind == "upcoming_invoice" else stored.object_id
    if stripe_id is None:
        raise UnreadableObject(reason)
    log.warning("event_refreshed", event_id=stored.id, type=stored.type, reason=reason)
    return ReadEvent(stored.id, [unreadable(event, kind, stripe_id)])


def record_failure(session: Session, event_id: str, error: Exception, now: datetime) -> None:
    """Keep the error with the event, and plan the next attempt or give up."""
    event = session.get_one(WebhookEvent, event_id, with_for_update=True)
    if event.state not in DUE_STATES:  # another worker was luckier with it
        return
    event.attempts += 1
    # The first line only: PostgreSQL's DETAIL quotes whole rows, with people's names in them. The driver's first line,
    # that is: SQLAlchemy's may be nothing but a remark about autoflush.
    cause = error.orig if isinstance(error, DBAPIError) else error
    event.error = f"{type(error).__name__}: {cause}".partition("\n")[0][:2000].replace("\0", "")
    event.state = "dead" if event.attempts >= MAX_ATTEMPTS else "failed"
    event.next_attempt_at = now + compute_backoff(event.attempts)


def compute_backoff(attempts: int) -> timedelta:
    """Four times as long after each failure, up to a limit, and spread so that a burst does not return as one."""
    return min(FIRST_RETRY * (1 << 2 * (attempts - 1)), LONGEST_RETRY) * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
