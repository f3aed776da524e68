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
from sqlalchemy import Text, bindparam, cast, func, select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from gateway.db import jobs
from gateway.db.models import WebhookEvent
from gateway.db.prepared import Prepared, Statement
from gateway.db.queries import among_those
from gateway.db.session import is_busy, is_locked
from gateway.errors import DatabaseUnavailable
from gateway.services.mirror.locks import OTHER
from gateway.services.mirror.merge import merge
from gateway.services.mirror.outcome import Outcome
from gateway.services.mirror.tables import KINDS
from gateway.services.runtime import Gateway
from gateway.services.webhooks import thin
from gateway.services.webhooks.put_off import put_off, put_off_locked, resume_unlocked
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
MOST_LOCKED = 5  # single events that run into a lock. After them, the lock concerns more than single organizations

log = structlog.get_logger()


class ClaimedEvent(NamedTuple):
    """The columns that are read of a due event."""

    id: str
    type: str
    object_id: str | None
    payload: bytes | None


# Most sessions hold their locks for some milliseconds. A drain that waited for the others would stop all organizations.
SHORT_WAIT = select(func.set_config("lock_timeout", "200ms", True))
DUE = (
    select(*(getattr(WebhookEvent, name) for name in ClaimedEvent._fields))
    .where(WebhookEvent.state.in_(DUE_STATES), WebhookEvent.next_attempt_at <= bindparam("now"))
    .where(WebhookEvent.waits_for.is_(None))
    # PostgreSQL evaluates it once, before it looks for rows. One statement saves each batch a round trip.
    .where(cast(SHORT_WAIT.scalar_subquery(), Text).is_not(None))
    .order_by(WebhookEvent.next_attempt_at, WebhookEvent.id)  # by id too, so that a simulated run can be repeated
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
)
CLAIM = Prepared(DUE)
CLAIM_SOME = Prepared(DUE.where(among_those(WebhookEvent.id, "ids")))
MARK = Statement(
    update(WebhookEvent)
    .where(among_those(WebhookEvent.id, "ids"))
    .values(state=bindparam("state"), processed_at=bindparam("now"), error=None)
)


@dataclass(frozen=True, slots=True)
class ReadEvent:
    """One event, and what its handler read from it."""

    event_id: str
    observations: Sequence[Observation]
    job: jobs.Wanted | None = None
    """The job that retrieves the data of a thin event."""


def drain_inbox(gateway: Gateway, handlers: Handlers) -> int:
    """Process every due event, and return how many. Try those that wait for a lock once more at the end."""
    total = 0
    for _ in range(2):
        while done := drain_batch(gateway, handlers):
            total += done
        if not resume_unlocked(gateway):
            break
    return total


def drain_batch(gateway: Gateway, handlers: Handlers, *, skip_locked: bool = False) -> int:
    """Process one batch, and return the number of its events.

    If another session keeps an organization locked, repeat the batch with ``skip_locked``. It puts off the events of
    that organization. If the batch fails, try parts of it, so that one poison event does not stop the others.
    """
    ids: list[str] = []
    try:
        with gateway.database.transaction() as session:
            events = claim_events(session, gateway.clock())
            ids = [event.id for event in events]
            merged = merge_events(session, events, handlers, gateway.clock(), skip_locked=skip_locked)
        report_merged(gateway, merged)
    except Exception as error:  # `drain_parts` finds and records the error with its event
        # A batch that exceeded a timeout would exceed it again, so parts of it are tried. If no event was claimed, the
        # inbox itself is locked.
        if isinstance(error, DatabaseUnavailable) and not (ids and is_busy(error.__cause__)):
            raise
        if is_locked(error.__cause__) and not skip_locked:
            return drain_batch(gateway, handlers, skip_locked=True)
        log.warning("batch_failed", events=len(ids), exc_info=True)
        drain_parts(gateway, handlers, ids)
    return len(ids)


def drain_parts(gateway: Gateway, handlers: Handlers, event_ids: Sequence[str]) -> None:
    """Process the events of a failed batch in halves, and halve what fails again, until a poison event is alone.

    Record the failure with that event. Raise DatabaseUnavailable if many events run into a lock.
    """
    parts, locked = halve(event_ids), 0
    while parts:
        part = parts.pop()
        try:
            drain_part(gateway, handlers, part)
        except Exception as error:  # any error is recorded with its event, which is retried or becomes dead
            meets_lock = isinstance(error, DatabaseUnavailable) and is_locked(error.__cause__)
            if isinstance(error, DatabaseUnavailable) and not meets_lock and not is_busy(error.__cause__):
                raise
            if len(part) > 1:  # each try waits for the lock, so a half would cost as much as a single event
                parts += [[each] for each in reversed(part)] if meets_lock else halve(part)
                continue
            locked += meets_lock
            if locked == MOST_LOCKED:
                raise
            with gateway.database.transaction() as session:
                if meets_lock:
                    put_off(session, {part[0]: OTHER})
                else:
                    log.warning("event_failed", event_id=part[0], exc_info=True)
                    record_failure(session, part[0], error, gateway.clock())


def halve(event_ids: Sequence[str]) -> list[Sequence[str]]:
    """Return the second half and the first, without an empty one."""
    middle = len(event_ids) // 2
    return [each for each in (event_ids[middle:], event_ids[:middle]) if each]


def drain_part(gateway: Gateway, handlers: Handlers, event_ids: Sequence[str]) -> None:
    """Process some events of a batch that failed. Another worker may have processed them."""
    with gateway.database.transaction() as session:
        events = claim_events(session, gateway.clock(), event_ids)
        merged = merge_events(session, events, handlers, gateway.clock(), skip_locked=True)
    report_merged(gateway, merged)


def claim_events(session: Session, now: datetime, event_ids: Sequence[str] | None = None) -> list[ClaimedEvent]:
    """Lock the due events that no other worker has locked, and return them, oldest first.

    From then on, the transaction waits only shortly for other sessions' locks.
    """
    claim = CLAIM if event_ids is None else CLAIM_SOME
    return [
        ClaimedEvent(*row) for row in claim.read_in(session, {"now": now, "ids": list(event_ids or ()), "most": BATCH})
    ]


def merge_events(
    session: Session, events: Sequence[ClaimedEvent], handlers: Handlers, now: datetime, *, skip_locked: bool
) -> list[ReadEvent]:
    """Merge what the events show, mark each one done or ignored, and return those that were merged.

    With ``skip_locked``, put off those that concern a locked organization.
    """
    if not events:
        return []
    reads = [read_event(event, handlers) for event in events]
    if skip_locked:
        waiting = put_off_locked(session, {each.event_id: each.observations for each in reads})
        reads = [each for each in reads if each.event_id not in waiting]
    if not reads:
        return []
    outcomes = iter(merge(session, [observation for each in reads for observation in each.observations], now))
    jobs.defer_all(session, [each.job for each in reads if each.job is not None])
    states: dict[str, list[str]] = {"done": [], "ignored": []}
    for each in reads:
        own_outcomes = [next(outcomes) for _ in each.observations]
        useful = each.job is not None or any(outcome is not Outcome.UNKNOWN for outcome in own_outcomes)
        states["done" if useful else "ignored"].append(each.event_id)
    for state, ids in states.items():
        if ids:
            MARK.execute_in(session, {"ids": ids, "state": state, "now": now})
    return reads


def report_merged(gateway: Gateway, reads: Sequence[ReadEvent]) -> None:
    """Log and trace the merged events, and the plan changes that their subscriptions name."""
    if reads:
        shown = [(each, seen) for each in reads for seen in each.observations if isinstance(seen, SubscriptionSnapshot)]
        changes = {seen.change_id: each.event_id for each, seen in shown if seen.change_id is not None}
        log.info("events_merged", event_ids=[each.event_id for each in reads], change_ids=sorted(changes))
        trace_events(gateway, changes)


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

    Raise UnreadableObject if the object has no id to retrieve it by.
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
