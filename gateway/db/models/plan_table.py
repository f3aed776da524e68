"""The plan table, its history, and the plan changes."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, bindparam, or_, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from gateway.db.models.base import Base
from gateway.json_types import Json

OPEN_STATES = ("requested", "processing", "requires_action")
PENDING_INVOICE = "pending_invoice"  # key of ``PlanChange.steps``: the invoice that the change waits for
UNSETTLED = "unsettled_invoices"  # key of ``PlanChange.steps``: the invoices that were not paid before the change
LATEST_INVOICE = "latest_invoice"
"""Key of ``PlanChange.steps``: the id of the subscription's last invoice before the change, or None."""
MADE_FROM = "made_from"
"""Key of ``PlanChange.steps``: the subscription's id, and the items that the change was made from."""
FINAL_USAGE = "final_usage"
"""Key of ``PlanChange.steps``: the metered items that the change removes, and the period whose usage they bill."""


class OrganizationPlan(Base):
    """A row of the plan table, which says which plan one organization is on.

    The merge, grants, downgrades and rebuilds write it.
    """

    __tablename__ = "organization_plans"
    __table_args__ = (
        # A reader would not know whether an unknown standing suspends the organization.
        CheckConstraint("standing IN ('good', 'grace', 'suspended')", name="standing"),
        # The plan that a grant gives is shown until a moment, so one without the other would last for ever or never.
        CheckConstraint("(granted_plan IS NULL) = (granted_until IS NULL)", name="granted"),
        CheckConstraint("quantity >= 0", name="quantity"),  # someone may set 0 in Stripe's dashboard
        # Each scrape of the metrics counts the unmapped organizations.
        Index(
            "ix_organization_plans_unmapped", "organization_id", postgresql_where=text("requested_plan = 'unmapped'")
        ),
    )

    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"), primary_key=True)
    plan: Mapped[str]
    """The plan that the organization may use, after proof of payment or by a grant.

    ``unmapped`` if the price belongs to no plan. A reader must call ``PlanState.at``, because the grant may be over.
    """
    requested_plan: Mapped[str]
    """The plan of the organization's subscription at Stripe, paid or not."""
    status: Mapped[str]
    standing: Mapped[str]
    quantity: Mapped[int]
    currency: Mapped[str | None]
    subscription_id: Mapped[str | None]
    current_period_start: Mapped[datetime | None]
    current_period_end: Mapped[datetime | None]
    cancel_at: Mapped[datetime | None]
    returned_payments: Mapped[list[Json]] = mapped_column(server_default="[]")
    """The payments that were refunded or disputed, as ``derive.to_returned`` writes them."""
    leaving: Mapped[bool] = mapped_column(server_default=text("false"))
    """Whether the organization has left its plan for the floor plan, and Stripe has not made the change yet."""
    granted_plan: Mapped[str | None]
    """The complimentary plan of the grant that has not been ended."""
    granted_until: Mapped[datetime | None]
    as_of: Mapped[datetime]
    version: Mapped[int]


class PlanHistory(Base):
    """One entry for each change of a plan table row. A trigger refuses to update or delete an entry."""

    __tablename__ = "plan_history"
    __table_args__ = (
        # unique, because two concurrent merges must not both record the same version
        Index(None, "organization_id", "version", unique=True),
        # The interface documents these values, and its clients know no others.
        CheckConstraint("actor_type IN ('user', 'sales', 'stripe', 'system', 'operator', 'usage')", name="actor_type"),
        # An entry with a change names who requested it, and one of a grant may name the operator. No other entry names
        # a person.
        CheckConstraint(
            "(change_id IS NULL OR actor_type IN ('user', 'usage'))"
            " AND (actor IS NULL) = (change_id IS NULL AND actor_type <> 'operator')",
            name="actor",
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"))
    version: Mapped[int]
    actor_type: Mapped[str] = mapped_column(server_default="system")
    """Who changed the plan: ``user``, ``usage``, ``sales``, ``stripe``, ``operator`` or ``system``."""
    actor: Mapped[str | None]
    change_id: Mapped[str | None] = mapped_column(ForeignKey("plan_changes.id"))
    cause: Mapped[str]
    """The id of the event, change or grant, or the name of the job, from which the merge learned of it."""
    before: Mapped[Json | None]
    after: Mapped[Json]
    recorded_at: Mapped[datetime]
    began_at: Mapped[datetime | None]
    """When usage began or ended to be billed at Stripe. None if the gateway learned of it in the same second."""


class PlanChange(Base):
    """One requested change. The gateway writes it before it calls Stripe, so that it can resume after a crash."""

    __tablename__ = "plan_changes"
    __table_args__ = (
        # A change in an unknown state would count as ended, so a second change could start beside it.
        CheckConstraint(
            "state IN ('requested', 'processing', 'requires_action', 'applied', 'failed', 'abandoned')", name="state"
        ),
        # An open change with an end would look finished to operators while it refuses the next change.
        CheckConstraint("(ended_at IS NULL) = (state IN ('requested', 'processing', 'requires_action'))", name="ended"),
        CheckConstraint("quantity > 0", name="quantity"),  # the interface refuses less, so less is our own mistake
        # The catalogue sells by the month and by the year only.
        CheckConstraint("interval IN ('month', 'year')", name="interval"),
        # only a payment in progress needs the secret, and keeping it longer would only risk a leak
        CheckConstraint("client_secret IS NULL OR state = 'requires_action'", name="client_secret"),
        # Each scrape of the metrics counts the charges that differ from their quotes.
        Index(
            "ix_plan_changes_mischarged", "id", postgresql_where=text("charged <> quoted OR due_now <> quoted_due_now")
        ),
        # Unique, because two requests may pass the check at the same moment. They must not start two changes.
        Index(
            "uq_plan_changes_in_flight",
            "organization_id",
            unique=True,
            postgresql_where=text("state IN ('requested', 'processing', 'requires_action')"),
        ),
        # Each change is admitted by counting the organization's changes of the last hour.
        Index(None, "organization_id", "created_at"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"))
    state: Mapped[str]
    actor: Mapped[str]
    from_plan: Mapped[str]
    to_plan: Mapped[str]
    quantity: Mapped[int]
    interval: Mapped[str | None]
    """The interval that the change moves the subscription to. None if it keeps the present one."""
    proration_date: Mapped[datetime | None]
    """The second from which Stripe prorates, as quoted. Without a quote, Stripe prorates from the time of the call."""
    quoted: Mapped[int | None]
    """The price of the change in the confirmed quote, in minor units. A credit is negative."""
    charged: Mapped[int | None]
    """The price that Stripe charged. None without a quote, or before the gateway has checked."""
    quoted_due_now: Mapped[int | None]
    """The quote's immediate invoice total, including other items. None if Stripe creates no invoice immediately."""
    due_now: Mapped[int | None]
    """The amount due on that invoice."""
    cancellation: Mapped[Json | None] = mapped_column(JSONB(none_as_null=True))
    """Why the organization cancelled the plan, in its own words."""
    steps: Mapped[Json] = mapped_column(server_default=text("'{}'"))
    """The parameters of each Stripe call, stored before the call. A retry must send exactly the same parameters."""
    left_at: Mapped[datetime | None]
    """When the organization lost the use of the plan that it leaves, before Stripe made the change. None otherwise."""
    client_secret: Mapped[str | None]
    """The secret with which the customer's browser completes the payment that the change waits for."""
    error: Mapped[Json | None]
    traceparent: Mapped[str | None]
    """The span of the request, for the trace that the events of the change continue. None if none is recorded."""
    created_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]

    @property
    def pending_invoice_id(self) -> str | None:
        """Return the id of the invoice whose payment the change waits for, or waited for."""
        found: str | None = self.steps.get(PENDING_INVOICE, {}).get("id")
        return found

    def close(self, state: str, now: datetime, error: Json | None = None) -> None:
        """End the change in ``state``, and delete its client secret."""
        self.state, self.ended_at, self.error, self.client_secret = state, now, error, None


# The states are literals in the statement. With parameters, PostgreSQL's prepared plan could not use the partial index.
IS_MISCHARGED = or_(PlanChange.charged != PlanChange.quoted, PlanChange.due_now != PlanChange.quoted_due_now)
IS_OPEN = PlanChange.state.in_(bindparam("open_states", OPEN_STATES, expanding=True, literal_execute=True))
