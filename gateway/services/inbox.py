"""The inbox's front door: check, store, acknowledge. Nothing else happens between Stripe and the commit."""

from datetime import datetime

import orjson
from marshmallow import ValidationError
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from gateway.config import WEBHOOK_TOLERANCE
from gateway.db.models import WebhookEvent
from gateway.errors import WebhookRefused
from gateway.services.context import Gateway
from gateway.stripe_api.signature import verify
from gateway.stripe_api.times import from_unix
from schemas.webhooks import WebhookEnvelope, WebhookEnvelopeSchema

ENVELOPE = WebhookEnvelopeSchema()


def receive(gateway: Gateway, body: bytes, signature: str | None) -> None:
    """Store one delivery; when this returns, it is committed.

    A second delivery of an event changes nothing, unless the event has failed: then it is tried again at once.
    Raises WebhookRefused (nothing is stored) and DatabaseUnavailable (Stripe will send it again).
    """
    now = gateway.clock()
    verify(body, signature, gateway.config.stripe_webhook_secrets, now, WEBHOOK_TOLERANCE)
    event = read_envelope(body)
    ours = event.livemode == gateway.config.livemode and event.account is None
    row = {
        "id": event.id,
        "type": event.type,
        "object_id": event.object_id,
        "created": from_unix(event.created),
        "api_version": event.api_version,
        "livemode": event.livemode,
        "account": event.account,
        "payload": body,
        "state": "pending" if ours else "rejected",
        "next_attempt_at": now,
        "received_at": now,
    }
    with gateway.database.transaction() as session:
        stored = session.scalar(insert(WebhookEvent).values(row).on_conflict_do_nothing().returning(WebhookEvent.id))
        if stored is None:
            revive(session, event.id, now)


def revive(session: Session, event_id: str, now: datetime) -> None:
    """Let an event that has failed be tried again; one that a worker holds just now is being tried: do not wait."""
    failed = (
        select(WebhookEvent)
        .where(WebhookEvent.id == event_id, WebhookEvent.state.in_(("failed", "dead")))
        .with_for_update(skip_locked=True)
    )
    for event in session.scalars(failed):
        event.state, event.attempts, event.next_attempt_at = "pending", 0, now


def read_envelope(body: bytes) -> WebhookEnvelope:
    """Read what the inbox needs of a verified body. Raises WebhookRefused."""
    try:
        envelope = ENVELOPE.load(orjson.loads(body))
    except orjson.JSONDecodeError as error:
        raise WebhookRefused("The body is not JSON.") from error
    except ValidationError as error:
        raise WebhookRefused("The body is not a Stripe event.", errors=error.messages) from error
    if not isinstance(envelope, WebhookEnvelope):
        raise WebhookRefused("The body is not one Stripe event.")
    return envelope
