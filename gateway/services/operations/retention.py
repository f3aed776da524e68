"""Delete old data: payloads once Stripe can no longer redeliver them, and rows later."""

from datetime import datetime, timedelta

import structlog
from sqlalchemy import ColumnElement, Delete, Select, Update, delete, select, update

from gateway.db import jobs
from gateway.db.models import IdempotencyKey, Notification, UsageEvent, WebhookEvent
from gateway.receivers import INQUIRY
from gateway.services import idempotency
from gateway.services.rate_limits import counts
from gateway.services.runtime import Gateway

PAYLOADS_KEPT = timedelta(days=30)  # Stripe lists and redelivers no older events
ROWS_KEPT = timedelta(days=180)  # id, type and state tell what arrived and how it ended
# a dead event keeps its payload until a person has investigated it
IS_FINISHED = WebhookEvent.state.in_(("done", "ignored", "rejected"))
NOTIFICATIONS_KEPT = timedelta(days=30)
# Reports hold what is billed and shown, and stay. An event only recognizes a repeated id, and explains a report.
USAGE_EVENTS_KEPT = timedelta(days=366)
BATCH_SIZE = 1000
USAGE_BATCH_SIZE = 10_000

log = structlog.get_logger()


def prune(gateway: Gateway) -> None:
    """Delete old payloads, rows, usage events, idempotency keys, notifications, and expired counts of the rate limits.

    Each batch has its own transaction, so that ingress and the drain wait for one batch at most.
    """
    now = gateway.clock()
    empty = update(WebhookEvent).values(payload=None)
    payloads = change_in_batches(gateway, empty, now - PAYLOADS_KEPT, WebhookEvent.payload.is_not(None), IS_FINISHED)
    rows = change_in_batches(gateway, delete(WebhookEvent), now - ROWS_KEPT, WebhookEvent.payload.is_(None))
    usage_events = delete_old_usage(gateway, now - USAGE_EVENTS_KEPT)
    with gateway.database.transaction() as session:
        session.execute(delete(IdempotencyKey).where(IdempotencyKey.created_at < now - idempotency.KEYS_KEPT))
        session.execute(counts.PRUNE)
        session.execute(delete_old_notifications(gateway, now))
        jobs.forget_failures(session, jobs.PRUNE_INBOX)
    log.info("inbox_pruned", payloads=payloads, rows=rows, usage_events=usage_events)


def delete_old_usage(gateway: Gateway, before: datetime) -> int:
    """Delete the usage events that occurred before ``before``, in batches. Return their number."""
    old = select(UsageEvent.id).where(UsageEvent.occurred_at < before).limit(USAGE_BATCH_SIZE)
    oldest = delete(UsageEvent).where(UsageEvent.id.in_(old)).returning(UsageEvent.id)
    total = 0
    while True:
        with gateway.database.transaction() as session:
            deleted = len(session.scalars(oldest).all())
        total += deleted
        if deleted < USAGE_BATCH_SIZE:
            return total


def delete_old_notifications(gateway: Gateway, now: datetime) -> Delete:
    """Delete the old notifications, apart from those that are still sent.

    Inquiries stay, because the notification says whether an inquiry was delivered.
    """
    is_waiting = Notification.next_attempt_at.is_not(None) & Notification.receiver.in_(gateway.receivers)
    is_old = Notification.created_at < now - NOTIFICATIONS_KEPT
    return delete(Notification).where(is_old, ~is_waiting, Notification.type != INQUIRY)


def change_in_batches(
    gateway: Gateway, change: Update | Delete, before: datetime, *conditions: ColumnElement[bool]
) -> int:
    """Apply ``change`` in batches to all events received before ``before``. Return their number."""
    total = 0
    while True:
        with gateway.database.transaction() as session:
            ids = session.scalars(select_batch(before, *conditions)).all()
            session.execute(change.where(WebhookEvent.id.in_(ids)))
        total += len(ids)
        if len(ids) < BATCH_SIZE:
            return total


def select_batch(before: datetime, *conditions: ColumnElement[bool]) -> Select[str]:
    """Select the ids of the oldest events. Skip those that another transaction has locked."""
    query = select(WebhookEvent.id).where(WebhookEvent.received_at < before, *conditions)
    return query.order_by(WebhookEvent.received_at).limit(BATCH_SIZE).with_for_update(skip_locked=True)
