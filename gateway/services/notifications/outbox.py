"""Write notifications in the transaction of the change that they report. A rollback removes them again.

In the worker, ``delivery.deliver_due`` sends them.
"""

import uuid
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import insert
from sqlalchemy.orm import Session

from gateway.db.models import Base, Notification
from gateway.db.session import RECEIVERS
from gateway.json_types import Json
from gateway.receivers import wants

NOTIFICATIONS = Base.metadata.tables[Notification.__tablename__]
RETRIED_FOR = timedelta(days=3)


class Fact(NamedTuple):
    """What happened to an organization. ``data`` holds only what JSON can hold, see ``to_text``."""

    organization_id: str
    type: str
    data: Json


def build_rows(session: Session, facts: Iterable[Fact], now: datetime) -> list[Json]:
    """Return a row of the outbox for each fact and each receiver that gets its type, in the order of the facts.

    The caller has locked the organizations, which keeps their notifications in order. Without a receiver, this reads no
    fact.
    """
    if not session.info[RECEIVERS]:
        return []
    return [
        build_row(fact, receiver, new_id(), now)
        for fact in facts
        for receiver in session.info[RECEIVERS]
        if wants(receiver, fact.type)
    ]


def enqueue(session: Session, fact: Fact, now: datetime) -> None:
    """Notify the receivers of one fact. The caller has locked the organization."""
    if rows := build_rows(session, [fact], now):
        session.execute(insert(Notification), rows)


def build_row(fact: Fact, receiver: str, notification_id: str, now: datetime) -> Json:
    """Return a new row of the outbox, which is due now."""
    return {
        "id": notification_id,
        "receiver": receiver,
        "organization_id": fact.organization_id,
        "type": fact.type,
        "data": fact.data,
        "created_at": now,
        "next_attempt_at": now,
        "retried_until": now + RETRIED_FOR,
    }


def new_id() -> str:
    """Return the id of a new notification."""
    return f"ntf_{uuid.uuid4().hex}"


def to_text(values: Iterable[tuple[str, object]]) -> Json:
    """Return an object for JSON, with times as in the interface, such as ``2026-11-30T04:00:00Z``."""
    return {
        name: value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else value
        for name, value in values
    }
