"""What reconciliation has looked at, so that a killed run goes on where it was."""

from datetime import datetime

from sqlalchemy import CheckConstraint, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from gateway.db.models.base import Base, Json


class Reconciliation(Base):
    """One run of the gap walk or of the drift walk; unfinished while ``finished_at`` is null."""

    __tablename__ = "reconciliations"
    __table_args__ = (
        CheckConstraint("kind IN ('gap', 'drift')", name="kind"),
        # what a finished run has checked is known: the next one goes back no further than that
        CheckConstraint("finished_at IS NULL OR until IS NOT NULL", name="finished"),
        # one unfinished run a kind: two that start at once go on with the same one, and only one of them gets further
        Index("uq_reconciliations_unfinished", "kind", unique=True, postgresql_where=text("finished_at IS NULL")),
        # the last finished run of a kind, and what is old enough to be forgotten
        Index(None, "kind", "started_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    since: Mapped[datetime | None]
    """How far back the gap walk goes; None: as far as Stripe remembers."""
    until: Mapped[datetime | None]
    """Stripe's time of the first answer: all that happened before it is checked once the run is finished."""
    cursor: Mapped[str | None]
    """Id of the last object that was looked at and whose page is committed."""
    counts: Mapped[Json] = mapped_column(server_default=text("'{}'"))
    """What was found so far: class -> how many."""
    started_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
