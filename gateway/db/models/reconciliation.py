"""What reconciliation has looked at, so that a killed run goes on where it was; and what calls to Stripe are left."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
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
    """The last object that was looked at and whose page is committed; for drift, the phase before it."""
    counts: Mapped[Json] = mapped_column(server_default=text("'{}'"))
    """What was found so far: class -> how many."""
    started_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]


class SeenAtStripe(Base):
    """An object that an unfinished drift walk has seen in Stripe's lists: what is left at its end may be gone there."""

    __tablename__ = "seen_at_stripe"

    # the run's rows go with it
    reconciliation_id: Mapped[int] = mapped_column(
        ForeignKey("reconciliations.id", ondelete="CASCADE"), primary_key=True
    )
    object_id: Mapped[str] = mapped_column(primary_key=True)


class StripeBudget(Base):
    """The calls to Stripe that all processes share: one row."""

    __tablename__ = "stripe_budget"
    # one row only: two would be two budgets
    __table_args__ = (CheckConstraint("id = 1", name="one_row"), CheckConstraint("strikes >= 0", name="strikes"))

    id: Mapped[int] = mapped_column(primary_key=True, server_default="1", autoincrement=False)
    used_until: Mapped[datetime]
    """The moment up to which Stripe's rate is used up, by PostgreSQL's clock."""
    paused_until: Mapped[datetime | None]
    """After a 429: no call of the background before this."""
    strikes: Mapped[int] = mapped_column(server_default="0")
    """How many pauses followed each other: each is longer."""
