"""Find stored events, and send them through the drain again."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, or_, select, update
from sqlalchemy.orm import defer

from gateway.db.models import WebhookEvent
from gateway.errors import NotFound
from gateway.services.runtime import Gateway
from gateway.services.webhooks.wakeup import defer_drain

BATCH = 1000
# Pending events are due anyway, and rejected events are never applied.
REPLAYABLE = ("failed", "done", "ignored", "dead")


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The events to find. An empty field does not restrict.

    ``types`` may contain ``*``. The times are times of receipt.
    """

    ids: Sequence[str] = ()
    types: Sequence[str] = ()
    states: Sequence[str] = ()
    object_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def conditions(self) -> Iterator[ColumnElement[bool]]:
        """Yield the conditions of the WHERE clause."""
        if self.ids:
            yield WebhookEvent.id.in_(self.ids)
        if self.types:
            yield or_(*(WebhookEvent.type.like(build_like_pattern(each), escape="\\") for each in self.types))
        if self.states:
            yield WebhookEvent.state.in_(self.states)
        if self.object_id is not None:
            yield WebhookEvent.object_id == self.object_id
        if self.since is not None:
            yield WebhookEvent.received_at >= self.since
        if self.until is not None:
            yield WebhookEvent.received_at < self.until


def build_like_pattern(event_type: str) -> str:
    """Return the LIKE pattern of a type. An asterisk matches anything, and an underscore only itself."""
    return event_type.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_").replace("*", "%")


def find_events(gateway: Gateway, selection: Selection, limit: int) -> list[WebhookEvent]:
    """Return the newest events of the selection, newest first, without payloads.

    Query the events with a stored payload first, then the rest. Each half has its own index by time.
    """
    found: list[WebhookEvent] = []
    with gateway.database.reading() as session:
        for half in (WebhookEvent.payload.is_not(None), WebhookEvent.payload.is_(None)):
            query = select(WebhookEvent).where(half, *selection.conditions()).options(defer(WebhookEvent.payload))
            query = query.order_by(WebhookEvent.received_at.desc(), WebhookEvent.id).limit(limit - len(found))
            found += session.scalars(query)
    return found


def get_event(gateway: Gateway, event_id: str) -> WebhookEvent:
    """Return one event. Raise NotFound."""
    with gateway.database.reading() as session:
        if (event := session.get(WebhookEvent, event_id)) is None:
            raise NotFound(f"There is no event {event_id} in the inbox.")
        return event


def find_replayable(gateway: Gateway, selection: Selection) -> list[str]:
    """Return the ids of the selection's events that can be replayed, oldest first."""
    query = select(WebhookEvent.id).where(
        WebhookEvent.payload.is_not(None), WebhookEvent.state.in_(REPLAYABLE), *selection.conditions()
    )
    with gateway.database.reading() as session:
        return list(session.scalars(query.order_by(WebhookEvent.received_at, WebhookEvent.id)))


def replay_events(gateway: Gateway, event_ids: Sequence[str]) -> int:
    """Make events due again, with no attempts counted, and return how many of them could be replayed.

    The worker continues in ``drain_loop.DrainLoop.run``.
    """
    now, replayed = gateway.clock(), 0
    reset = {"state": "pending", "attempts": 0, "next_attempt_at": now, "processed_at": None}
    for start in range(0, len(event_ids), BATCH):
        batch = event_ids[start : start + BATCH]
        is_replayable = (WebhookEvent.payload.is_not(None), WebhookEvent.state.in_(REPLAYABLE))
        statement = update(WebhookEvent).where(WebhookEvent.id.in_(batch), *is_replayable).values(reset)
        with gateway.database.transaction() as session:
            replayed += len(session.scalars(statement.returning(WebhookEvent.id)).all())
        defer_drain(gateway.database)
    return replayed
