"""``Idempotency-Key``: a request that comes again is answered as the first one was, and done once.

A key is claimed before anything is done, and keeps the answer afterwards. One who finds it claimed waits for that
answer. Whoever claimed it may have died: after a while the next one takes over, and goes on with the change that was
begun, if any was.
"""

import json
import re
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
from gateway.stripe_api import json_text

KEPT = timedelta(hours=24)
TAKEN_FOR_DEAD = timedelta(seconds=60)
PATIENCE = 10.0  # seconds that a repeated request waits for the first one's answer
FIRST_LOOK, SELDOMEST = 0.05, 0.5  # seconds between its looks: soon at first, but many who wait are no load
NO_CLIENT_SECRET = re.compile(r'("client_secret"\s*:\s*)null')

log = structlog.get_logger()


@dataclass(frozen=True)
class Answer:
    """What the first request was answered. ``body`` is JSON."""

    status: int
    location: str | None
    body: str


def claim(gateway: Gateway, caller: Caller, key: str, fingerprint: str) -> Answer | None:
    """Claim the key; gives the answer if the request was answered before, None if it is the caller's to do.

    Raises IdempotencyKeyReused, and RequestInProgress if the first one takes too long.
    """
    deadline = time.monotonic() + PATIENCE
    pause = FIRST_LOOK
    while True:
        with gateway.database.transaction() as session:
            if insert_new(session, caller, key, fingerprint, gateway.clock()):
                return None
            row = session.get_one(IdempotencyKey, (caller.organization_id, key), with_for_update=True)
            if row.fingerprint != fingerprint:
                raise IdempotencyKeyReused("The Idempotency-Key came with another request before: use a new one.")
            if row.status is not None and row.body is not None:
                return Answer(status=row.status, location=row.location, body=with_client_secret(session, row))
            if gateway.clock() > row.claimed_at + TAKEN_FOR_DEAD:
                row.claimed_at = gateway.clock()
                return None
        if time.monotonic() > deadline:
            raise RequestInProgress("The first request with this Idempotency-Key has not been answered yet.")
        time.sleep(pause)
        pause = min(2 * pause, SELDOMEST)


def insert_new(session: Session, caller: Caller, key: str, fingerprint: str, now: datetime) -> bool:
    """Claim a key that was never seen; whether it was not."""
    row = {"organization_id": caller.organization_id, "key": key, "fingerprint": fingerprint}
    claimed = insert(IdempotencyKey).values(**row, claimed_at=now, created_at=now).on_conflict_do_nothing()
    return session.scalar(claimed.returning(IdempotencyKey.key)) is not None


def keep(gateway: Gateway, caller: Caller, answer: Answer) -> None:
    """Store the answer to the request, without a client secret, which would be kept longer than it is of use."""
    body = json_text.without_client_secrets(answer.body.encode()).decode()
    values = {"status": answer.status, "location": answer.location, "body": body}
    with gateway.database.transaction() as session:
        session.execute(update(IdempotencyKey).where(*its_row(caller)).values(values))


def with_client_secret(session: Session, row: IdempotencyKey) -> str:
    """Return the stored answer with the client secret of a change that still waits for its payment."""
    body = row.body or ""
    change = session.get(PlanChange, row.change_id) if row.change_id is not None else None
    if change is None or change.client_secret is None or json.loads(body).get("state") != change.state:
        return body
    secret = json.dumps(change.client_secret)
    return NO_CLIENT_SECRET.sub(lambda found: found[1] + secret, body, count=1)


def release(gateway: Gateway, caller: Caller) -> None:
    """Nothing was done: the next one may try. One whose request began a change keeps its key, and goes on with it.

    A key that somebody else has taken over and answered meanwhile is his. If the database is away, the key is free
    again once its holder is taken for dead.
    """
    mine = (*its_row(caller), IdempotencyKey.status.is_(None))
    try:
        with gateway.database.transaction() as session:
            session.execute(delete(IdempotencyKey).where(*mine, IdempotencyKey.change_id.is_(None)))
            long_ago = gateway.clock() - 2 * TAKEN_FOR_DEAD
            session.execute(update(IdempotencyKey).where(*mine).values(claimed_at=long_ago))
    except DatabaseUnavailable:  # what the request came to is still to be told
        log.warning("idempotency_key_not_released", exc_info=True)


def link(session: Session, caller: Caller, change_id: str) -> None:
    """Note which change the caller's request began, in the transaction that writes it."""
    if caller.idempotency_key is not None:
        session.execute(update(IdempotencyKey).where(*its_row(caller)).values(change_id=change_id))


def change_of(gateway: Gateway, caller: Caller) -> str | None:
    """The change that an earlier try of the caller's request began; None if there was none."""
    if caller.idempotency_key is None:
        return None
    with gateway.database.reading() as session:
        return session.scalar(select(IdempotencyKey.change_id).where(*its_row(caller)))


def its_row(caller: Caller) -> tuple[ColumnElement[bool], ...]:
    """Where the caller's key is."""
    return IdempotencyKey.organization_id == caller.organization_id, IdempotencyKey.key == caller.idempotency_key
