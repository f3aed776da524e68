"""The gap walk: events that Stripe lists and no delivery brought are put into the inbox, and drained like any other.

It goes from the newest event back to the last check, and some way further: an event may show in the list a little
after one that happened later. New events do not disturb it, they come in front of where it began. That place counts as
checked once the walk has reached its end and all of it is committed.
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
from gateway.services.reconciliation import progress
from gateway.services.reconciliation.progress import Progress
from gateway.services.runtime import Gateway
from gateway.services.stripe_budget import Priority, calling_as
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
    """Walk Stripe's events; gives the progress after each page, which is committed by then.

    ``handled``: the types that have a handler. The others are passed over: the webhook endpoint is not asked to deliver
    them either. An unfinished walk is gone on with; a ``dry_run`` begins anew, and writes nothing. May be left after
    any page. Raises StripeUnavailable, and ReconciliationInProgress if another process walks as well.

    Counts: ``events`` on the pages, of them ``missing`` (put into the inbox) and ``unreadable`` (no events of ours to
    store, as ingress sees it).
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
    """Where to go on, or to begin: some way before the end of the last finished walk."""
    with gateway.database.transaction() as session:
        checked = progress.checked_until(session, KIND)
        since = checked - OVERLAP if checked is not None else None
        return Progress(since=since) if dry_run else progress.resume_or_begin(session, KIND, gateway.clock(), since)


def fetch_page(gateway: Gateway, at: Progress) -> EventPage:
    """The next page.

    Stripe no longer knows the cursor's event if a walk rested there for long: then it has forgotten all that lies
    beyond as well, and the page is empty.
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
    """Ids of the events that the inbox has."""
    ids = [event["id"] for event in events]
    return set(session.scalars(select(WebhookEvent.id).where(WebhookEvent.id.in_(ids))))


def build_rows(gateway: Gateway, events: Sequence[JsonObject]) -> list[dict[str, Any]]:
    """What the inbox keeps of them, by the same rules as for a delivery; what would be refused there is logged here.

    They are due from when they happened: the drain takes the oldest first.
    """
    now = gateway.clock()
    rows: list[dict[str, Any]] = []
    for event in events:
        try:
            row = inbox.row_of(gateway, json_text.dumps(event), now)._asdict()
        except (WebhookRefused, *UNREADABLE):  # the others if it cannot be written
            log.exception("gap_event_unreadable", event_id=event["id"])
            continue
        rows.append({**row, "source": "gap", "next_attempt_at": min(from_unix(event["created"]), now)})
    return sorted(rows, key=lambda row: row["id"])  # as ingress does: two that store the same wait, and do not deadlock


def store_rows(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    """Store them; one that was delivered in this very moment stays as it was delivered."""
    if rows:
        session.execute(insert(WebhookEvent).values(rows).on_conflict_do_nothing())
