"""The inbox's front door: check, store, acknowledge. Nothing else happens between Stripe and the commit."""

from collections.abc import Collection, Sequence
from datetime import datetime
from functools import cache
from typing import NamedTuple

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from gateway.config import WEBHOOK_TOLERANCE
from gateway.db.models import WebhookEvent
from gateway.db.writer import Parameter, Writer
from gateway.errors import WebhookRefused
from gateway.metrics import SIGNATURES
from gateway.services.runtime import Gateway
from gateway.services.webhooks.group_commit import GroupCommit
from gateway.stripe_api import json_text
from gateway.stripe_api.envelope import WebhookEnvelope
from gateway.stripe_api.signature import verify
from gateway.stripe_api.times import from_unix


class Row(NamedTuple):
    """What the inbox stores of an event when it comes."""

    id: str
    type: str
    object_id: str | None
    created: datetime
    api_version: str | None
    livemode: bool
    account: str | None
    payload: bytes | None
    state: str
    next_attempt_at: datetime
    received_at: datetime

    def parameters(self) -> list[Parameter]:
        """As PostgreSQL reads them."""
        return [value if value is None or type(value) is bytes else str(value).encode() for value in self]


COLUMNS = Row._fields
TEXT, BINARY = 0, 1
FORMATS = [BINARY if column == "payload" else TEXT for column in COLUMNS]


@cache
def statement(rows: int) -> bytes:
    """The INSERT of so many rows. Written by hand: this one statement is what an acknowledgement costs."""
    width = len(FORMATS)
    places = ([f"${row * width + column + 1}" for column in range(width)] for row in range(rows))
    values = ", ".join(f"({', '.join(row)})" for row in places)
    insert = f"INSERT INTO webhook_events ({', '.join(COLUMNS)})"
    return f"{insert} VALUES {values} ON CONFLICT DO NOTHING".encode()


class Inbox:
    """One process's way into the inbox; threads share it, and what they store at one time is committed together."""

    def __init__(self, gateway: Gateway, handled: Collection[str]) -> None:
        """``handled`` are the event types that have a handler."""
        self._gateway = gateway
        self._handled = handled
        self._writer = Writer(gateway.database)
        self._commits = GroupCommit(self._store)

    def receive(self, body: bytes, signature: str | None) -> bool:
        """Store and commit one delivery. Return whether the drain has something to do.

        A second delivery of an event changes nothing, unless the event has failed. Then it is due immediately. Raise
        WebhookRefused if nothing is stored, or DatabaseUnavailable, after which Stripe delivers the event again.
        """
        now = self._gateway.clock()
        check_signature(self._gateway, body, signature, now)
        row = row_of(self._gateway, body, now)
        is_handled = row.type in self._handled
        self._commits.add(row if is_handled else without_payload(row))
        return is_handled

    def close(self) -> None:
        """Close the connection."""
        self._writer.close()

    def _store(self, rows: Sequence[Row]) -> None:
        # Sorted, so that two processes which store the same events wait for each other instead of deadlocking.
        parameters = [each for row in sorted(rows, key=lambda row: row.id) for each in row.parameters()]
        stored = self._writer.execute(statement(len(rows)), parameters, FORMATS * len(rows))
        if stored < len(rows):
            with self._gateway.database.transaction() as session:
                came_again(session, [row.id for row in rows], self._gateway.clock())


def check_signature(gateway: Gateway, body: bytes, signature: str | None, now: datetime) -> None:
    """Refuse what Stripe did not sign, and count which secret it was signed with. Raises WebhookRefused."""
    try:
        secret = verify(body, signature, gateway.config.stripe_webhook_secrets, now, WEBHOOK_TOLERANCE)
    except WebhookRefused:
        SIGNATURES.labels("none").inc()
        raise
    SIGNATURES.labels(str(secret)).inc()


def row_of(gateway: Gateway, body: bytes, now: datetime) -> Row:
    """What is stored of an event that is Stripe's word; of another mode or account it is not to be applied.

    Raises WebhookRefused if it is no event.
    """
    event = read_envelope(body)
    ours = event.livemode == gateway.config.livemode and event.account is None
    state = "pending" if ours else "rejected"
    return Row(
        id=event.id,
        type=event.type,
        object_id=event.object_id,
        created=from_unix(event.created),
        api_version=event.api_version,
        livemode=event.livemode,
        account=event.account,
        payload=json_text.without_client_secrets(body),
        state=state,
        next_attempt_at=now,
        received_at=now,
    )


def without_payload(row: Row) -> Row:
    """Return the row of an event whose type has no handler. Only the fact that it came is kept.

    The payload is dropped here and not by the drain. So names and amounts that we never use reach no disk or backup.
    During a deploy, the drain may be older than the web process. It must not drop an event that the new release reads.
    """
    return row._replace(payload=None, state="ignored" if row.state == "pending" else row.state)


def came_again(session: Session, event_ids: Collection[str], now: datetime) -> None:
    """Let events that have failed be tried again, and note that those from the gap walk were delivered after all.

    One that a worker holds just now is being tried: do not wait.
    """
    known = (
        select(WebhookEvent)
        .where(
            WebhookEvent.id.in_(event_ids),
            or_(WebhookEvent.state.in_(("failed", "dead")), WebhookEvent.source == "gap"),
        )
        .with_for_update(skip_locked=True)
    )
    for event in session.scalars(known):
        event.source = "webhook"
        if event.state in ("failed", "dead"):
            event.state, event.attempts, event.next_attempt_at = "pending", 0, now


def read_envelope(body: bytes) -> WebhookEnvelope:
    """Read what the inbox needs of a verified body. Raises WebhookRefused."""
    try:
        event = json_text.loads(body)
    except ValueError as error:
        raise WebhookRefused("The body is not JSON.") from error
    return WebhookEnvelope.read(event)
