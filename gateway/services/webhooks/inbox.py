"""Take Stripe's deliveries: verify, store, acknowledge. Nothing else runs between Stripe and the commit.

The endpoint then calls ``wakeup.Wakeup.request_drain``, which enqueues the drain job. In the worker,
``drain_loop.DrainLoop.run`` calls ``drain.drain_batch``, which merges the stored events.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from functools import cache
from typing import NamedTuple

from sqlalchemy import or_, select
from sqlalchemy.orm import Session
from structlog.contextvars import bind_contextvars

from gateway.config import WEBHOOK_TOLERANCE
from gateway.db.models import WebhookEvent
from gateway.db.writer import Parameter, Writer
from gateway.errors import WebhookRefused
from gateway.metrics import SIGNATURES
from gateway.services.runtime import Gateway
from gateway.services.webhooks.group_commit import GroupCommit, PendingRow
from gateway.services.webhooks.refusals import Refusals
from gateway.services.webhooks.thin import TASKS
from gateway.stripe_api import json_text
from gateway.stripe_api.envelope import WebhookEnvelope
from gateway.stripe_api.signature import verify
from gateway.stripe_api.times import from_unix


class InboxRow(NamedTuple):
    """The columns that the inbox stores when an event arrives."""

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
        """Return the values as PostgreSQL reads them."""
        return [value if value is None or type(value) is bytes else str(value).encode() for value in self]


COLUMNS = InboxRow._fields
TEXT, BINARY = 0, 1
FORMATS = [BINARY if column == "payload" else TEXT for column in COLUMNS]


@cache
def build_insert(rows: int) -> bytes:
    """Return the INSERT of this many rows.

    It is written by hand because this one statement is most of the cost of an acknowledgement.
    """
    width = len(FORMATS)
    places = ([f"${row * width + column + 1}" for column in range(width)] for row in range(rows))
    values = ", ".join(f"({', '.join(row)})" for row in places)
    insert = f"INSERT INTO webhook_events ({', '.join(COLUMNS)})"
    return f"{insert} VALUES {values} ON CONFLICT DO NOTHING".encode()


class Inbox:
    """The inbox, as one process writes to it. Its threads share it, and commit their rows together."""

    def __init__(self, gateway: Gateway, handled: Collection[str]) -> None:
        """Open nothing yet. ``handled`` are the event types that have a handler."""
        self._gateway = gateway
        self._handled = handled
        self._writer = Writer(gateway.database)
        self._commits = GroupCommit(self._store)
        self._refusals = Refusals(gateway.database)

    def add(self, body: bytes, signature: str | None) -> PendingRow[InboxRow]:
        """Verify one delivery, and let its row join the next commit. Raise WebhookRefused.

        The caller continues with ``commit``. Between the two, further deliveries may join the same commit.
        """
        now = self._gateway.clock()
        try:
            check_signature(self._gateway, body, signature, now)
        except WebhookRefused:
            self._refusals.note(now)
            raise
        row = build_row(self._gateway, body, now)
        bind_contextvars(event_id=row.id)
        return self._commits.add(row if self._is_handled(row) else without_payload(row))

    def commit(self, delivery: PendingRow[InboxRow]) -> bool:
        """Return when the delivery is committed. The value says whether the drain has something to do.

        A redelivery changes nothing, unless the event has failed. A failed event becomes due again immediately.
        Raise DatabaseUnavailable (Stripe will deliver it again).
        """
        self._commits.wait(delivery)
        return self._is_handled(delivery.row)

    def _is_handled(self, row: InboxRow) -> bool:
        return row.type in self._handled or row.type in TASKS

    def close(self) -> None:
        """Close the connection."""
        self._writer.close()

    def _store(self, rows: Sequence[InboxRow]) -> None:
        # Two processes may store the same events. In sorted order they wait for each other instead of deadlocking.
        parameters = [each for row in sorted(rows, key=lambda row: row.id) for each in row.parameters()]
        stored = self._writer.execute(build_insert(len(rows)), parameters, FORMATS * len(rows))
        if stored < len(rows):
            with self._gateway.database.transaction() as session:
                reset_redelivered(session, [row.id for row in rows], self._gateway.clock())


def check_signature(gateway: Gateway, body: bytes, signature: str | None, now: datetime) -> None:
    """Raise WebhookRefused if Stripe did not sign the body, and count which secret signed it."""
    try:
        secret = verify(body, signature, gateway.config.stripe_webhook_secrets, now, WEBHOOK_TOLERANCE)
    except WebhookRefused:
        SIGNATURES.labels("none").inc()
        raise
    SIGNATURES.labels(str(secret)).inc()


def build_row(gateway: Gateway, body: bytes, now: datetime) -> InboxRow:
    """Build the row of a verified event. An event of another mode or account is stored as rejected.

    Raise WebhookRefused if the body is no event.
    """
    event = read_envelope(body)
    ours = event.livemode == gateway.config.livemode and event.account is None
    state = "pending" if ours else "rejected"
    return InboxRow(
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


def without_payload(row: InboxRow) -> InboxRow:
    """Return the row of an event whose type has no handler. Only the fact that it came is kept.

    The payload is dropped here and not by the drain. So names and amounts that we never use reach no disk or backup.
    During a deploy, the drain may be older than the web process. It must not drop an event that the new release reads.
    """
    return row._replace(payload=None, state="ignored" if row.state == "pending" else row.state)


def reset_redelivered(session: Session, event_ids: Collection[str], now: datetime) -> None:
    """Make failed events due again, and mark events from the gap walk as delivered after all.

    Skip an event that a worker has locked, because that worker is trying it now.
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
    """Read the fields that the inbox needs from a verified body. Raise WebhookRefused."""
    try:
        event = json_text.loads(body)
    except ValueError as error:
        raise WebhookRefused("The body is not JSON.") from error
    return WebhookEnvelope.read(event)
