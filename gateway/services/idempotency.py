"""``Idempotency-Key``: the gateway carries a request out once, and answers a repeated request as it answered the first.

A request claims its key before it does anything, and stores its answer under the key afterwards. A second request that
finds the key claimed waits for that answer. The process that claimed the key may have died. After ``CLAIM_TIMEOUT``
the next request therefore takes the key over. If the first request had begun a plan change, the next one resumes that
change (``plan_changes/request.py``).
"""

import time
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from gateway.db.models import IdempotencyKey, PlanChange
from gateway.errors import DatabaseUnavailable, IdempotencyKeyReused, RequestInProgress
from gateway.services.runtime import Caller, Gateway

KEY_LIFETIME = timedelta(hours=24)
CLAIM_TIMEOUT = timedelta(seconds=60)
LONGEST_WAIT = 10.0  # seconds that a repeated request waits for the first one's answer
# Seconds between two queries of a waiting request. The pause grows, so that many waiting requests are no load.
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 0.5

log = structlog.get_logger()


@dataclass(frozen=True)
class Answer:
    """Hold the answer to the first request. ``body`` is JSON."""

    status: int
    location: str | None
    body: str


def claim_key(gateway: Gateway, caller: Caller, key: str, fingerprint: str) -> Answer | None:
    """Claim the key. Return the stored answer, or None if the caller must carry the request out.

    Wait while another request holds the key. Raises IdempotencyKeyReused if the key came with another request before.
    Raises RequestInProgress if the first request takes longer than ``LONGEST_WAIT``.
    """
    deadline = time.monotonic() + LONGEST_WAIT
    pause = FIRST_PAUSE
    while True:
        with gateway.database.transaction() as session:
            if insert_key(session, caller, key, fingerprint, gateway.clock()):
                return None
            row = session.get_one(IdempotencyKey, (caller.organization_id, key), with_for_update=True)
            if row.fingerprint != fingerprint:
                raise IdempotencyKeyReused("This Idempotency-Key was used for another request. Use a new one.")
            if row.status is not None and row.body is not None:
                return Answer(status=row.status, location=row.location, body=row.body)
            if gateway.clock() > row.claimed_at + CLAIM_TIMEOUT:
                row.claimed_at = gateway.clock()
                return None
        if time.monotonic() > deadline:
            raise RequestInProgress("The first request with this Idempotency-Key has not been answered yet.")
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


def insert_key(session: Session, caller: Caller, key: str, fingerprint: str, now: datetime) -> bool:
    """Insert the key as claimed by this request. Return False if the key exists already."""
    row = {"organization_id": caller.organization_id, "key": key, "fingerprint": fingerprint}
    claimed = insert(IdempotencyKey).values(**row, claimed_at=now, created_at=now).on_conflict_do_nothing()
    return session.scalar(claimed.returning(IdempotencyKey.key)) is not None


def store_answer(gateway: Gateway, caller: Caller, answer: Answer) -> None:
    """Store the answer to the request under its key."""
    values = {"status": answer.status, "location": answer.location, "body": answer.body}
    with gateway.database.transaction() as session:
        session.execute(update(IdempotencyKey).where(*match_key(caller)).values(values))


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
