"""Send notifications to their receivers, at least once each and in order by organization.

One job for each receiver runs every few seconds, and at most one at a time. If a worker is killed after a call, the
attempt is not counted, and the notification is sent once more under the same id.
"""

from collections.abc import Generator, Sequence
from datetime import datetime, timedelta
from http import HTTPStatus

import orjson
import requests
import structlog
from sqlalchemy import bindparam, exists, select, update
from sqlalchemy.dialects.postgresql import distinct_on, insert
from sqlalchemy.orm import Session, aliased
from standardwebhooks import Webhook

from gateway.db.models import Notification, ReceiverState
from gateway.db.prepared import Prepared
from gateway.receivers import Receiver
from gateway.services.backoff import compute_wait
from gateway.services.notifications.outbox import RETRIED_FOR
from gateway.services.runtime import Gateway
from gateway.stripe_api.times import to_unix

TIMEOUTS = (3, 10)  # seconds to connect, and to wait for the answer
# The wait before each retry. The last one repeats until the three days are over.
RETRY_WAITS = (
    timedelta(seconds=5),
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
)
# After so many failures in a row, the receiver is paused. One attempt after each pause finds out whether it answers.
PAUSE_AFTER = 5
FIRST_PAUSE, LONGEST_PAUSE = timedelta(minutes=1), timedelta(minutes=30)
BATCH = 100

_first = aliased(
    Notification,
    select(Notification)
    .where(
        Notification.receiver == bindparam("name"),
        Notification.delivered_at.is_(None),  # as in the index
        Notification.next_attempt_at.is_not(None),
    )
    .ext(distinct_on(Notification.organization_id))
    .order_by(Notification.organization_id, Notification.position)
    .subquery(),
)
_is_paused = exists().where(ReceiverState.name == bindparam("name"), ReceiverState.paused_until > bindparam("now"))
DUE = Prepared(
    select(_first).where(_first.next_attempt_at <= bindparam("now"), ~_is_paused).order_by(_first.position).limit(BATCH)
)

log = structlog.get_logger()


def deliver_due(gateway: Gateway, name: str) -> Generator[bool]:
    """Attempt each due notification of a receiver, and yield whether it was delivered. Stop if the receiver is paused.

    The caller may stop after any attempt.
    """
    receiver = gateway.receivers[name]
    while due := load_due(gateway, name):
        for notification in due:
            error = post(receiver, notification, gateway.clock())
            is_paused = record_attempt(gateway, notification, error)
            yield error is None
            if is_paused:
                return


def load_due(gateway: Gateway, name: str) -> Sequence[Notification]:
    """Return the due notifications of a receiver that is not paused. Each is the first that waits for its organization.

    A later notification of an organization waits until the receiver has accepted the first one.
    """
    return [each for (each,) in DUE.read(gateway.database, {"name": name, "now": gateway.clock()})]


def post(receiver: Receiver, notification: Notification, now: datetime) -> str | None:
    """Send a notification once. Return None, or the error in words without the address and without personal data."""
    body = build_message(notification)
    signatures = [Webhook(secret).sign(notification.id, now, body) for secret in receiver.secrets]
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "konnect-stripe-gateway",
        "webhook-id": notification.id,
        "webhook-timestamp": str(to_unix(now)),
        "webhook-signature": " ".join(signatures),
    }
    try:
        # Do not read the answer's body. Do not follow a redirect, because it could lead to another receiver.
        with requests.post(
            receiver.url, data=body.encode(), headers=headers, timeout=TIMEOUTS, allow_redirects=False, stream=True
        ) as answer:
            status = answer.status_code
    except requests.RequestException as error:
        return type(error).__name__
    return None if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES else f"HTTP {status}"


def build_message(notification: Notification) -> str:
    """Build the message ``{type, timestamp, data}``."""
    message = {"type": notification.type, "timestamp": notification.created_at, "data": notification.data}
    return orjson.dumps(message, option=orjson.OPT_UTC_Z).decode()


def record_attempt(gateway: Gateway, sent: Notification, error: str | None) -> bool:
    """Store the result of an attempt, and return whether the receiver is paused. ``error`` is None for a success.

    ``sent`` is the row as it was read before the attempt.
    """
    now = gateway.clock()
    with gateway.database.transaction() as session:
        # The receiver is locked before its notifications. In another order, this and ``records.replay`` could deadlock.
        state = note_failure(session, sent.receiver, error, now) if error is not None else None
        if state is None:
            note_success(session, sent.receiver, now)
        row = session.get_one(Notification, sent.position, with_for_update=True)
        is_waiting = row.next_attempt_at is not None  # otherwise another process has ended it
        row.attempts += 1
        row.error = error
        if state is None:
            row.next_attempt_at, row.delivered_at = None, row.delivered_at or now
        else:
            row.next_attempt_at = plan_retry(row, state, now) if is_waiting else None
        is_paused = state is not None and state.paused_until is not None
    is_given_up = row.delivered_at is None and row.next_attempt_at is None
    say = log.error if is_given_up else log.info
    say(
        "notification_sent",
        receiver=row.receiver,
        notification_id=row.id,
        type=row.type,
        attempt=row.attempts,
        error=error,
        given_up=is_given_up,
    )
    return is_paused


def plan_retry(notification: Notification, state: ReceiverState, now: datetime) -> datetime | None:
    """Return when to try again, or None to give up.

    After three days only this notification is given up, so that the organization's next ones follow. If the receiver
    has accepted nothing at all in three days, it is down, and nothing is given up.
    """
    is_down = state.failing_since is not None and state.failing_since <= now - RETRIED_FOR
    if now >= notification.retried_until and not is_down:
        return None
    return now + RETRY_WAITS[min(notification.attempts, len(RETRY_WAITS)) - 1]


def note_failure(session: Session, name: str, error: str, now: datetime) -> ReceiverState:
    """Count a failure, and pause the receiver after ``PAUSE_AFTER`` failures in a row. Return its state."""
    session.execute(insert(ReceiverState).values(name=name).on_conflict_do_nothing())
    state = session.get_one(ReceiverState, name, with_for_update=True)
    state.failures, state.error = state.failures + 1, error
    state.failing_since = state.failing_since or now
    if state.failures >= PAUSE_AFTER:
        state.paused_until = now + compute_wait(FIRST_PAUSE, LONGEST_PAUSE, doublings=state.failures - PAUSE_AFTER)
    return state


def note_success(session: Session, name: str, now: datetime) -> None:
    """Forget the failures of a receiver. If it was paused, its waiting notifications are due now."""
    failing = select(ReceiverState).where(ReceiverState.name == name, ReceiverState.failures > 0).with_for_update()
    state = session.scalar(failing)
    if state is None:
        return
    was_paused = state.failures >= PAUSE_AFTER  # a replay may have ended the pause
    state.failures, state.failing_since, state.paused_until, state.error = 0, None, None, None
    if was_paused:
        waiting = update(Notification).where(Notification.receiver == name, Notification.next_attempt_at > now)
        session.execute(waiting.values(next_attempt_at=now), execution_options={"synchronize_session": False})
