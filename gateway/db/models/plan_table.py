"""The plan table, its history, and the changes on their way."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, bindparam, text
from sqlalchemy.orm import Mapped, mapped_column

from gateway.db.models.base import Base, Json

OPEN_STATES = ("requested", "processing", "requires_action")


class OrganizationPlan(Base):
    """The plan table: which plan an organization is on. One row an organization, written by the merge alone."""

    __tablename__ = "organization_plans"
    __table_args__ = (
        CheckConstraint("standing IN ('good', 'grace', 'suspended')", name="standing"),
        CheckConstraint("quantity >= 0", name="quantity"),  # 0 is possible at Stripe, if somebody says so there
        # whom the catalogue does not know is counted at each scrape of the metrics
        Index(
            "ix_organization_plans_unmapped", "organization_id", postgresql_where=text("requested_plan = 'unmapped'")
        ),
    )

    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"), primary_key=True)
    plan: Mapped[str]
    """What the organization may use: follows proof of payment. ``unmapped`` if the price is none of ours."""
    requested_plan: Mapped[str]
    """What its subscription stands for at Stripe, paid or not."""
    status: Mapped[str]
    standing: Mapped[str]
    quantity: Mapped[int]
    currency: Mapped[str | None]
    subscription_id: Mapped[str | None]
    current_period_start: Mapped[datetime | None]
    current_period_end: Mapped[datetime | None]
    cancel_at: Mapped[datetime | None]
    as_of: Mapped[datetime]
    version: Mapped[int]


class PlanHistory(Base):
    """Appended to whenever a row of the plan table changes; a trigger refuses to update or delete a row of it."""

    __tablename__ = "plan_history"
    __table_args__ = (
        # one entry a version: two merges cannot both claim to have made it
        Index(None, "organization_id", "version", unique=True),
        CheckConstraint("actor_type IN ('user', 'sales', 'stripe', 'system')", name="actor_type"),
        # whoever is named is the user who asked for the change
        CheckConstraint(
            "(actor IS NULL) = (change_id IS NULL) AND (actor IS NULL OR actor_type = 'user')", name="user"
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"))
    version: Mapped[int]
    actor_type: Mapped[str] = mapped_column(server_default="system")
    """Who (``services/attribution.py``)."""
    actor: Mapped[str | None]
    change_id: Mapped[str | None] = mapped_column(ForeignKey("plan_changes.id"))
    cause: Mapped[str]
    """What told of it: the id of the event or change, or the name of the job."""
    before: Mapped[Json | None]
    after: Mapped[Json]
    recorded_at: Mapped[datetime]


class PlanChange(Base):
    """One requested change, written before Stripe is asked, so that a crash leaves something to finish."""

    __tablename__ = "plan_changes"
    __table_args__ = (
        CheckConstraint(
            "state IN ('requested', 'processing', 'requires_action', 'applied', 'failed', 'abandoned')", name="state"
        ),
        CheckConstraint("(ended_at IS NULL) = (state IN ('requested', 'processing', 'requires_action'))", name="ended"),
        CheckConstraint("quantity > 0", name="quantity"),
        # a secret is kept no longer than it is of use
        CheckConstraint("client_secret IS NULL OR state = 'requires_action'", name="client_secret"),
        # what is alarming about charges is counted at each scrape of the metrics
        Index(
            "ix_plan_changes_mischarged", "id", postgresql_where=text("charged <> quoted OR due_now <> quoted_due_now")
        ),
        # one change in flight an organization, also when two requests pass the check at the same moment
        Index(
            "uq_plan_changes_in_flight",
            "organization_id",
            unique=True,
            postgresql_where=text("state IN ('requested', 'processing', 'requires_action')"),
        ),
        Index(None, "organization_id", "created_at"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"))
    state: Mapped[str]
    actor: Mapped[str]
    from_plan: Mapped[str]
    to_plan: Mapped[str]
    quantity: Mapped[int]
    proration_date: Mapped[datetime | None]
    """The second from which Stripe prorates, if a quote was confirmed; else it is the one in which Stripe does it."""
    quoted: Mapped[int | None]
    """What the confirmed quote said the change itself costs: minor units, negative for a credit."""
    charged: Mapped[int | None]
    """What Stripe then held for it; None while nobody has looked, or without a quote."""
    quoted_due_now: Mapped[int | None]
    """What the quote said is due at once, with all else that its invoice takes; None if none is made at once."""
    due_now: Mapped[int | None]
    """What that invoice then asked for."""
    steps: Mapped[Json] = mapped_column(server_default=text("'{}'"))
    """The parameters of each Stripe call, frozen before it is made: a retry sends exactly the same."""
    client_secret: Mapped[str | None]
    """With it the customer's browser completes the payment that the change waits for."""
    error: Mapped[Json | None]
    created_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]

    def close(self, state: str, now: datetime, error: Json | None = None) -> None:
        """End it, one way or the other."""
        self.state, self.ended_at, self.error, self.client_secret = state, now, error, None


# The states stand in the statement itself: PostgreSQL then plans it once for all, with the partial index on them.
IS_OPEN = PlanChange.state.in_(bindparam("open_states", OPEN_STATES, expanding=True, literal_execute=True))
