"""Put off the events of locked organizations, and resume them when the organizations are unlocked.

A drain must not wait for a lock that another session keeps. That session may be an operator's, or that of a process
that hangs. Other organizations' events would wait too.
"""

from collections.abc import Mapping, Sequence

import structlog
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from gateway.db.models import WebhookEvent
from gateway.db.queries import among
from gateway.services.mirror.locks import lock_free_organizations, lock_unlocked
from gateway.services.runtime import Gateway
from gateway.stripe_api.snapshots import Observation

MOST = 10_000  # far more than anyone locks, and few enough to read twice a second
WAITED_FOR = select(WebhookEvent.waits_for).where(WebhookEvent.waits_for.is_not(None)).distinct().limit(MOST)

log = structlog.get_logger()


def put_off_locked(session: Session, events: Mapping[str, Sequence[Observation]]) -> Mapping[str, str]:
    """Lock what the events concern, and put off those events of which another session has locked something.

    Return the events that were put off. The others can be merged without a wait.
    """
    waiting = lock_unlocked(session, events)
    put_off(session, waiting)
    return waiting


def put_off(session: Session, waiting: Mapping[str, str]) -> None:
    """Let each event wait for the organization that is locked, or for ``OTHER``."""
    for lock in set(waiting.values()):
        event_ids = [event_id for event_id, waits_for in waiting.items() if waits_for == lock]
        session.execute(
            update(WebhookEvent).where(among(WebhookEvent.id, event_ids)).values(waits_for=lock),
            execution_options={"synchronize_session": False},
        )
        log.warning("events_put_off", organization_id=lock, event_ids=event_ids)


def resume_unlocked(gateway: Gateway) -> int | None:
    """Let the drain claim the events of unlocked organizations. Return their number, or None if no event waits.

    An event that waits for ``OTHER`` is tried again each time.
    """
    with gateway.database.reading() as session:
        names = {each for each in session.scalars(WAITED_FOR) if each is not None}
    if not names:
        return None
    with gateway.database.transaction() as session:
        locked = lock_free_organizations(session, names)
        resumed = update(WebhookEvent).where(among(WebhookEvent.waits_for, names - locked)).values(waits_for=None)
        rows = session.execute(
            resumed.returning(WebhookEvent.id), execution_options={"synchronize_session": False}
        ).all()
    return len(rows)
