"""Store and load the last result of a check, for processes that did not make it."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from gateway.db.models import Check
from gateway.db.session import Database


def store_result(
    database: Database, name: str, problem: str | None, now: datetime, seconds: float | None = None
) -> None:
    """Store the result of a check, and how long it took if the check measures that. Raise DatabaseUnavailable."""
    values = {"problem": problem, "checked_at": now, "seconds": seconds}
    statement = insert(Check).values(name=name, **values)
    with database.transaction() as session:
        session.execute(statement.on_conflict_do_update(index_elements=["name"], set_=values))


def load_result(database: Database, name: str) -> Check | None:
    """Return the stored result, or None if the check was never made. Raise DatabaseUnavailable."""
    with database.reading() as session:
        return session.scalar(select(Check).where(Check.name == name))
