"""The progress of reconciliation and adoption, so that a killed run can resume."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from gateway.db.models.base import Base
from gateway.json_types import Json


class Reconciliation(Base):
    """One run of the gap walk, the drift walk or an adoption. It is unfinished while ``finished_at`` is null."""

    __tablename__ = "reconciliations"
    __table_args__ = (
        # No process would resume a run of an unknown kind.
        CheckConstraint("kind IN ('gap', 'drift', 'adoption')", name="kind"),
        # The next run starts where a finished run ended. Without ``until`` it would not know where.
        CheckConstraint("finished_at IS NULL OR until IS NOT NULL", name="finished"),
        # Unique, because two processes may start at the same moment. They resume the same run, and one makes progress.
        Index("uq_reconciliations_unfinished", "kind", unique=True, postgresql_where=text("finished_at IS NULL")),
        # for the last finished run of a kind, and for pruning
        Index(None, "kind", "started_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    since: Mapped[datetime | None]
    """The time back to which the gap walk goes. None if it goes back as far as Stripe's list. An adoption replays the
    events that were received since then."""
    until: Mapped[datetime | None]
    """Stripe's time of the first answer. A finished run has checked everything before it."""
    cursor: Mapped[str | None]
    """``object`` in a gap walk, ``phase/object`` in a drift walk, ``digest/phase/object`` in an adoption. The object is
    the last one on the last committed page. The digest is that of the adoption's source."""
    counts: Mapped[Json] = mapped_column(server_default=text("'{}'"))
    """What the run has counted so far, such as objects by phase, and differences by cause and resolution."""
    started_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]


class SeenAtStripe(Base):
    """An object that an unfinished drift walk has seen in Stripe's lists. All others may be gone at Stripe."""

    __tablename__ = "seen_at_stripe"

    # PostgreSQL deletes these rows together with their run.
    reconciliation_id: Mapped[int] = mapped_column(
        ForeignKey("reconciliations.id", ondelete="CASCADE"), primary_key=True
    )
    object_id: Mapped[str] = mapped_column(primary_key=True)


class Adoption(Base):
    """An adopted organization whose customer does not name it at Stripe yet, and whose cards are not all mirrored."""

    __tablename__ = "adoptions"

    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"), primary_key=True)
