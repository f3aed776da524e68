"""Remember that deliveries were refused for their signature, so that ``gateway doctor`` can report a wrong secret.

Anyone can send such a delivery. So a process writes at most once a minute, and readiness does not depend on it.
"""

import time
from datetime import datetime

import structlog
from sqlalchemy import func, select

from gateway.db.checks import load_result, store_result
from gateway.db.models import WebhookEvent
from gateway.db.session import Database
from gateway.errors import DatabaseUnavailable
from gateway.services.runtime import Gateway

CHECK_NAME = "webhook_signature"
PAUSE = 60  # seconds between two notes of one process

log = structlog.get_logger()


class Refusals:
    """The refused deliveries, as one process notes them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._next_note = 0.0

    def note(self, now: datetime) -> None:
        """Note that a delivery was refused at ``now``."""
        if time.monotonic() < self._next_note:
            return
        self._next_note = time.monotonic() + PAUSE
        log.warning("webhook_signature_refused")
        try:
            store_result(self._database, CHECK_NAME, "refused", now)
        except DatabaseUnavailable:
            log.warning("refusal_not_noted", exc_info=True)


def find_signature_problem(gateway: Gateway) -> str | None:
    """Describe the problem if deliveries are refused and none was accepted since. Raise DatabaseUnavailable."""
    refused = load_result(gateway.database, CHECK_NAME)
    if refused is None:
        return None
    # Only kept payloads, because they have a partial index. Every type that the endpoint subscribes to keeps them.
    accepted = select(func.max(WebhookEvent.received_at)).where(
        WebhookEvent.payload.is_not(None), WebhookEvent.source == "webhook"
    )
    with gateway.database.reading() as session:
        last = session.scalar(accepted)
    if last is not None and last > refused.checked_at:
        return None
    since = "none was ever accepted" if last is None else f"the last one was accepted at {last:%Y-%m-%d %H:%M} UTC"
    return (
        f"a delivery was refused for its signature at {refused.checked_at:%Y-%m-%d %H:%M} UTC, and {since}. "
        "Compare STRIPE_WEBHOOK_SECRETS with the signing secret of the endpoint in Stripe's dashboard."
    )
