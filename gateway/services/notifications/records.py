"""List the notifications and their receivers, and send notifications again."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from sqlalchemy import ColumnElement, and_, func, select, update
from sqlalchemy.orm import Session

from gateway.db.models import Notification, ReceiverState
from gateway.db.queries import among
from gateway.errors import NotFound
from gateway.services.notifications.outbox import RETRIED_FOR
from gateway.services.runtime import Gateway

WAITING, DELIVERED, GIVEN_UP = "waiting", "delivered", "given_up"
IS_IN_STATE: Mapping[str, ColumnElement[bool]] = MappingProxyType(
    {
        WAITING: Notification.next_attempt_at.is_not(None),
        DELIVERED: Notification.delivered_at.is_not(None),
        GIVEN_UP: and_(Notification.next_attempt_at.is_(None), Notification.delivered_at.is_(None)),
    }
)


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which notifications to choose. None means any."""

    receiver: str | None = None
    organization_id: str | None = None
    type: str | None = None
    state: str | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return the conditions of a query for them."""
        equal = {
            Notification.receiver: self.receiver,
            Notification.organization_id: self.organization_id,
            Notification.type: self.type,
        }
        chosen = [column == value for column, value in equal.items() if value is not None]
        return chosen if self.state is None else [*chosen, IS_IN_STATE[self.state]]


@dataclass(frozen=True, kw_only=True)
class ReceiverReport:
    """What a receiver has not accepted, and how it answers."""

    name: str
    is_configured: bool
    """False if notifications wait for a receiver that was removed."""
    waiting: int
    given_up: int
    state: ReceiverState | None
    """None if it never failed."""

    @property
    def is_paused(self) -> bool:
        """Return whether the gateway has paused the receiver after several failures in a row."""
        return self.state is not None and self.state.paused_until is not None


def state_of(notification: Notification) -> str:
    """Return whether a notification is waiting, delivered or given up."""
    if notification.delivered_at is not None:
        return DELIVERED
    return WAITING if notification.next_attempt_at is not None else GIVEN_UP


def find_notifications(gateway: Gateway, selection: Selection, limit: int) -> Sequence[Notification]:
    """Return the newest notifications, newest first."""
    query = select(Notification).where(*selection.conditions())
    newest = query.order_by(Notification.created_at.desc(), Notification.position.desc()).limit(limit)
    with gateway.database.reading() as session:
        return session.scalars(newest).all()


def get_notification(gateway: Gateway, notification_id: str) -> Notification:
    """Return a notification. Raise NotFound."""
    with gateway.database.reading() as session:
        found = session.scalar(select(Notification).where(Notification.id == notification_id))
    if found is None:
        raise NotFound(f"There is no notification {notification_id}.")
    return found


def replay(gateway: Gateway, ids: Collection[str]) -> int:
    """Send these notifications again, under their ids, and return how many there are. End their receivers' pauses."""
    now = gateway.clock()
    chosen = among(Notification.id, ids)
    again = (
        update(Notification)
        .where(chosen)
        .values(next_attempt_at=now, retried_until=now + RETRIED_FOR, attempts=0, delivered_at=None)
        .returning(Notification.id)
    )
    with gateway.database.transaction() as session:
        receivers = session.scalars(select(Notification.receiver).where(chosen).distinct()).all()
        paused = update(ReceiverState).where(among(ReceiverState.name, receivers))
        session.execute(paused.values(paused_until=None))  # before the notifications, as ``record_attempt`` locks them
        return len(session.scalars(again).all())


def report_receivers(session: Session, configured: Collection[str]) -> list[ReceiverReport]:
    """Return a report for each receiver that is configured, or that has not accepted everything yet."""
    count = func.count()
    undelivered = (
        select(Notification.receiver, count.filter(IS_IN_STATE[WAITING]), count.filter(IS_IN_STATE[GIVEN_UP]))
        .where(Notification.delivered_at.is_(None))
        .group_by(Notification.receiver)
    )
    counts = {name: (waiting, given_up) for name, waiting, given_up in session.execute(undelivered)}
    states = {each.name: each for each in session.scalars(select(ReceiverState))}
    return [
        ReceiverReport(
            name=name,
            is_configured=name in configured,
            waiting=counts.get(name, (0, 0))[0],
            given_up=counts.get(name, (0, 0))[1],
            state=states.get(name),
        )
        for name in sorted({*configured, *counts})
    ]
