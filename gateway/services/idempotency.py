"""Carry out a request once per ``Idempotency-Key``. Answer a repeated request as the first one was answered.

A request claims its key before it does anything, and stores its answer under the key afterwards. A second request that
finds the key claimed is refused immediately, because waiting requests would hold every thread. The process that claimed
the key may have died. After ``CLAIM_TIMEOUT`` the next request therefore takes the key over. If the first request had
begun a plan change, the next one resumes that change (``plan_changes/request.py``).

The gateway keeps every key for a day. Without its key, a repeated request would change the plan or charge a card a
second time. An organization has at most ``MAX_KEYS`` keys. For one more, the oldest one of a refused request makes
room. If there is none, the request is refused.
"""

import json
import math
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus

import structlog
from sqlalchemy import ColumnElement, DateTime, delete, func, literal, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from gateway.db.models import IdempotencyKey, PlanChange
from gateway.errors import DatabaseUnavailable, IdempotencyKeyReused, RateLimited, RequestInProgress
from gateway.services.runtime import Caller, Gateway
from gateway.stripe_api import json_text

KEYS_KEPT = timedelta(hours=24)
# Five times as many keys as changes are possible within an hour. Concurrent requests may exceed the number a little.
MAX_KEYS = 100
CLAIM_TIMEOUT = timedelta(seconds=60)
RETRY_AFTER = 1  # seconds. An ordinary change takes less.
NO_CLIENT_SECRET = re.compile(r'("client_secret"\s*:\s*)null')

log = structlog.get_logger()


@dataclass(frozen=True)
class Answer:
    """The answer to the first request. ``body`` is JSON."""

    status: int
    location: str | None
    body: str


def claim_key(gateway: Gateway, caller: Caller, key: str, fingerprint: str) -> Answer | None:
    """Claim the key. Return the stored answer, or None if the caller must carry the request out.

    Raise IdempotencyKeyReused if the key came with another request before. Raise RequestInProgress while the first
    request has no answer. Raise RateLimited if the organization has too many keys.
    """
    while True:
        with gateway.database.transaction() as session:
            if insert_key(session, caller, key, fingerprint, gateway.clock()):
                return None
            row = session.get(IdempotencyKey, (caller.organization_id, key), with_for_update=True)
            if row is None:  # the organization has too many keys, or another request has just released this one
                make_room(session, caller, gateway.clock())
                continue
            if row.fingerprint != fingerprint:
                raise IdempotencyKeyReused("This Idempotency-Key was used for another request. Use a new one.")
            if row.status is not None and row.body is not None:
                return Answer(status=row.status, location=row.location, body=with_client_secret(session, row))
            if gateway.clock() > row.claimed_at + CLAIM_TIMEOUT:
                row.claimed_at = gateway.clock()
                return None
            raise RequestInProgress(
                "The first request with this Idempotency-Key has not been answered yet.",
                headers={"Retry-After": str(RETRY_AFTER)},
            )


def insert_key(session: Session, caller: Caller, key: str, fingerprint: str, now: datetime) -> bool:
    """Insert the key as claimed by this request. Return False if it exists already, or if there are too many keys."""
    keys = select(func.count()).where(*match_live_keys(caller, now)).scalar_subquery()
    row = select(
        *(literal(each) for each in (caller.organization_id, key, fingerprint)),
        *(literal(now, DateTime(timezone=True)) for _ in range(2)),
    ).where(keys < MAX_KEYS)
    columns = ["organization_id", "key", "fingerprint", "claimed_at", "created_at"]
    claimed = insert(IdempotencyKey).from_select(columns, row).on_conflict_do_nothing()
    return session.scalar(claimed.returning(IdempotencyKey.key)) is not None


def make_room(session: Session, caller: Caller, now: datetime) -> None:
    """Forget the oldest refused request if the organization has too many keys. It changed nothing.

    Raise RateLimited, with the seconds until the oldest key's day is over, if none was refused.
    """
    number, oldest = session.execute(
        select(func.count(), func.min(IdempotencyKey.created_at)).where(*match_live_keys(caller, now))
    ).one()
    if number < MAX_KEYS:
        return
    was_refused = (IdempotencyKey.status >= HTTPStatus.BAD_REQUEST, IdempotencyKey.change_id.is_(None))
    refused = select(IdempotencyKey.key).where(*match_live_keys(caller, now), *was_refused)
    key = session.scalar(refused.order_by(IdempotencyKey.created_at).limit(1))
    if key is None:
        wait = math.ceil((oldest + KEYS_KEPT - now).total_seconds())
        raise RateLimited(
            f"The organization has used {MAX_KEYS} idempotency keys within a day. Please try again later.",
            headers={"Retry-After": str(wait)},
        )
    # Another request may have evicted the key since, and a third one may have claimed it again. Keep that claim.
    of_it = (IdempotencyKey.organization_id == caller.organization_id, IdempotencyKey.key == key)
    session.execute(delete(IdempotencyKey).where(*of_it, *was_refused))


def store_answer(gateway: Gateway, caller: Caller, answer: Answer) -> None:
    """Store the answer to the request, without a client secret, which would be kept longer than it is of use."""
    body = json_text.without_client_secrets(answer.body.encode()).decode()
    values = {"status": answer.status, "location": answer.location, "body": body}
    with gateway.database.transaction() as session:
        session.execute(update(IdempotencyKey).where(*match_key(caller)).values(values))


def with_client_secret(session: Session, row: IdempotencyKey) -> str:
    """Return the stored answer with the client secret of a change that still waits for its payment."""
    body = row.body or ""
    change = session.get(PlanChange, row.change_id) if row.change_id is not None else None
    if change is None or change.client_secret is None or json.loads(body).get("state") != change.state:
        return body
    secret = json.dumps(change.client_secret)
    return NO_CLIENT_SECRET.sub(lambda found: found[1] + secret, body, count=1)


def release_key(gateway: Gateway, caller: Caller) -> None:
    """Release a key whose request got no answer worth keeping, so that the next request may try again.

    Delete the key if the request began no change. Otherwise let its claim time out now, so that the next request
    resumes the change. Leave a key alone that another request took over and answered. If the database is unavailable,
    the key becomes free after ``CLAIM_TIMEOUT``.
    """
    unanswered = (*match_key(caller), IdempotencyKey.status.is_(None))
    try:
        with gateway.database.transaction() as session:
            session.execute(delete(IdempotencyKey).where(*unanswered, IdempotencyKey.change_id.is_(None)))
            long_ago = gateway.clock() - 2 * CLAIM_TIMEOUT
            session.execute(update(IdempotencyKey).where(*unanswered).values(claimed_at=long_ago))
    except DatabaseUnavailable:  # raising it would hide the request's own error from the caller
        log.warning("idempotency_key_not_released", exc_info=True)


def link_change(session: Session, caller: Caller, change_id: str) -> None:
    """Record in ``session`` that the caller's request began this change. The same transaction writes the change."""
    if caller.idempotency_key is not None:
        session.execute(update(IdempotencyKey).where(*match_key(caller)).values(change_id=change_id))


def unlink_change(session: Session, change: PlanChange) -> None:
    """Forget in ``session`` which request began the change, so that a repeated request begins another one."""
    linked = (IdempotencyKey.organization_id == change.organization_id, IdempotencyKey.change_id == change.id)
    session.execute(update(IdempotencyKey).where(*linked).values(change_id=None))


def find_linked_change(gateway: Gateway, caller: Caller) -> str | None:
    """Return the id of the change that an earlier try of the caller's request began, or None."""
    if caller.idempotency_key is None:
        return None
    with gateway.database.reading() as session:
        return session.scalar(select(IdempotencyKey.change_id).where(*match_key(caller)))


def match_key(caller: Caller) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions that select the row of the caller's key."""
    return IdempotencyKey.organization_id == caller.organization_id, IdempotencyKey.key == caller.idempotency_key


def match_live_keys(caller: Caller, now: datetime) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions that select the organization's keys. The retention job has yet to delete the older ones."""
    return IdempotencyKey.organization_id == caller.organization_id, IdempotencyKey.created_at > now - KEYS_KEPT
