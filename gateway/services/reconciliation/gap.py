"""The gap walk puts events into the inbox that Stripe lists and the inbox lacks.

The walk goes from the newest event back to the last check, and a little further. An event can appear in Stripe's list
after one that happened later. New events do not disturb the walk, because they appear in front of its start. The time
of its start counts as checked once the walk has reached its end and every page is committed.

``wakeup.defer_drain`` queues the drain job after each page. ``webhooks.drain.drain_batch`` then merges the events.
"""

from collections import Counter
from collections.abc import Collection, Generator, Sequence
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from gateway.db.models import WebhookEvent
from gateway.errors import NotFound, WebhookRefused
from gateway.services.rate_limits.stripe_budget import Priority, calling_as
from gateway.services.reconciliation import progress
from gateway.services.reconciliation.progress import Progress
from gateway.services.runtime import Gateway
from gateway.services.webhooks import inbox, wakeup
from gateway.stripe_api import json_text
from gateway.stripe_api.client import stripe_call
from gateway.stripe_api.event_list import EventPage, list_events
from gateway.stripe_api.events import UNREADABLE, JsonObject
from gateway.stripe_api.times import from_unix

KIND = "gap"
OVERLAP = timedelta(minutes=5)

log = structlog.get_logger()


def walk(gateway: Gateway, handled: Collection[str], *, dry_run: bool = False) -> Generator[Progress]:
    """Walk Stripe's list of events. Commit each page and then yield the progress.

    ``handled`` names the types that have a handler. The walk skips all others, because the webhook endpoint does not
    receive them either. The walk resumes the unfinished run, if there is one. A ``dry_run`` starts from the newest
    event and writes nothing. The caller may stop after any page. Raise StripeUnavailable, or ReconciliationInProgress
    if another process is walking too.

    The progress counts ``events`` on the pages, ``missing`` ones (put into the inbox) and ``unreadable`` ones (refused
    by the rules of ingress).
    """
    at = begin_walk(gateway, dry_run=dry_run)
    while not at.finished:
        page = fetch_page(gateway, at)
        wanted = [event for event in page.events if event["type"] in handled]
        with gateway.database.transaction() as session:
            there = select_stored_ids(session, wanted)
            missing = [event for event in wanted if event["id"] not in there]
            rows = build_rows(gateway, missing)
            found = Counter(events=len(page.events), missing=len(rows), unreadable=len(missing) - len(rows))
            cursor = page.events[-1]["id"] if page.events else at.cursor
            after = at.advance(page.answered_at, cursor, found, finished=not page.has_more)
            if not dry_run:
                store_rows(session, rows)
                progress.store(session, at, after, gateway.clock())
        at = after
        if rows and not dry_run:
            wakeup.defer_drain(gateway.database)
        yield at


def begin_walk(gateway: Gateway, *, dry_run: bool) -> Progress:
    """Resume the unfinished walk, or begin one that overlaps with the last finished one."""
    with gateway.database.transaction() as session:
        checked = progress.checked_until(session, KIND)
        since = checked - OVERLAP if checked is not None else None
        return Progress(since=since) if dry_run else progress.resume_or_begin(session, KIND, gateway.clock(), since)


def fetch_page(gateway: Gateway, at: Progress) -> EventPage:
    """Return the next page of Stripe's list.

    Stripe forgets the cursor's event if the walk pauses for long. It has then forgotten all older events too, so the
    page is empty.
    """
    try:
        with calling_as(Priority.RECONCILIATION), stripe_call():
            return list_events(gateway.stripe, at.since, at.cursor)
    except NotFound:
        if at.cursor is None or at.until is None:
            raise
        log.warning("gap_cursor_forgotten", cursor=at.cursor)
        return EventPage(events=[], has_more=False, answered_at=at.until)


def select_stored_ids(session: Session, events: Sequence[JsonObject]) -> set[str]:
    """Return the ids of the events that the inbox has."""
    ids = [event["id"] for event in events]
    return set(session.scalars(select(WebhookEvent.id).where(WebhookEvent.id.in_(ids))))


def build_rows(gateway: Gateway, events: Sequence[JsonObject]) -> list[dict[str, Any]]:
    """Build the inbox rows of the events, by the same rules as for a delivery. Log events that ingress would refuse.

    Each event is due from the time when it happened, because the drain takes the oldest first.
    """
    now = gateway.clock()
    rows: list[dict[str, Any]] = []
    for event in events:
        try:
            row = inbox.build_row(gateway, json_text.dumps(event), now)._asdict()
        except (WebhookRefused, *UNREADABLE):  # UNREADABLE if the event cannot be serialized
            log.exception("gap_event_unreadable", event_id=event["id"])
            continue
        rows.append({**row, "source": "gap", "next_attempt_at": min(from_unix(event["created"]), now)})
    # Use the same order as ingress. Two transactions that store the same events could deadlock otherwise.
    return sorted(rows, key=lambda row: row["id"])


def store_rows(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    """Store the rows. If an event was delivered since the page was read, keep the delivered row."""
    if rows:
        session.execute(insert(WebhookEvent).values(rows).on_conflict_do_nothing())
