"""How long things are kept: payloads as long as Stripe can send them again, rows longer."""

from datetime import datetime, timedelta

import structlog
from sqlalchemy import ColumnElement, Delete, Select, Update, delete, select, update

from gateway.db import jobs
from gateway.db.models import IdempotencyKey, WebhookEvent
from gateway.services import idempotency
from gateway.services.runtime import Gateway

PAYLOADS_KEPT = timedelta(days=30)  # what Stripe lists and sends again by hand is no older
ROWS_KEPT = timedelta(days=180)  # id, type and state: what came, and what became of it
# a dead event keeps its payload until somebody has looked at it
IS_FINISHED = WebhookEvent.state.in_(("done", "ignored", "rejected"))
BATCH_SIZE = 1000

log = structlog.get_logger()


def prune(gateway: Gateway) -> None:
    """Empty what is old, a batch a transaction: neither ingress nor drain waits for more than that."""
    now = gateway.clock()
    empty = update(WebhookEvent).values(payload=None)
    payloads = change_in_batches(gateway, empty, now - PAYLOADS_KEPT, WebhookEvent.payload.is_not(None), IS_FINISHED)
    rows = change_in_batches(gateway, delete(WebhookEvent), now - ROWS_KEPT, WebhookEvent.payload.is_(None))
    with gateway.database.transaction() as session:
        session.execute(delete(IdempotencyKey).where(IdempotencyKey.created_at < now - idempotency.KEPT))
        jobs.forget_failures(session, jobs.PRUNE_INBOX)
    log.info("inbox_pruned", payloads=payloads, rows=rows)


def change_in_batches(
    gateway: Gateway, change: Update | Delete, before: datetime, *conditions: ColumnElement[bool]
) -> int:
    """Make ``change`` to all events received before then, batch by batch; gives their number."""
    total = 0
    while True:
        with gateway.database.transaction() as session:
            ids = session.scalars(select_batch(before, *conditions)).all()
            session.execute(change.where(WebhookEvent.id.in_(ids)))
        total += len(ids)
        if len(ids) < BATCH_SIZE:
            return total


def select_batch(before: datetime, *conditions: ColumnElement[bool]) -> Select[str]:
    """The ids of the oldest; what another transaction holds just now is left for the next time."""
    query = select(WebhookEvent.id).where(WebhookEvent.received_at < before, *conditions)
    return query.order_by(WebhookEvent.received_at).limit(BATCH_SIZE).with_for_update(skip_locked=True)
