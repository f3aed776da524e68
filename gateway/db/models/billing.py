"""The mirror of Stripe's subscriptions and invoices. It has only the fields that we use."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, and_, bindparam, func, text
from sqlalchemy.orm import Mapped, mapped_column, query_expression

from gateway.db.models.base import Mirrored
from gateway.json_types import Json


class Subscription(Mirrored):
    """A Stripe subscription. ``items`` keeps each item's id, price, product, quantity and period."""

    __tablename__ = "subscriptions"
    __table_args__ = (
        Index(None, "organization_id"),  # each merge and each request reads an organization's subscriptions
        CheckConstraint(
            "status IN ('incomplete', 'incomplete_expired', 'trialing', 'active', 'past_due', 'canceled',"
            " 'unpaid', 'paused')",
            name="status",  # Stripe's values. We must first decide what a new status means for a plan.
        ),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"))
    status: Mapped[str]
    currency: Mapped[str]
    items: Mapped[list[Json]]
    cancel_at: Mapped[datetime | None]
    cancel_at_period_end: Mapped[bool] = mapped_column(server_default=text("false"))
    default_payment_method_id: Mapped[str | None]
    """What Stripe charges for this subscription. None if the customer's default counts."""
    collection_method: Mapped[str] = mapped_column(server_default="charge_automatically")
    billing_mode: Mapped[str] = mapped_column(server_default="flexible")
    schedule_id: Mapped[str | None]
    pause_behavior: Mapped[str | None]
    paused_until: Mapped[datetime | None]
    trial_end: Mapped[datetime | None]
    missing_payment_method: Mapped[str | None]
    """What Stripe does if a trial ends without a payment method: ``cancel``, ``create_invoice`` or ``pause``."""
    automatic_tax: Mapped[bool] = mapped_column(server_default=text("false"))
    """Whether Stripe computes the taxes."""
    invoices_pending: Mapped[bool] = mapped_column(server_default=text("false"))
    """Whether Stripe invoices pending items at an interval of their own, and not only with the period."""
    discount_ids: Mapped[list[str]] = mapped_column(server_default="{}")
    latest_invoice_id: Mapped[str | None]
    change_id: Mapped[str | None]
    """The plan change that Stripe last carried out, according to the subscription's metadata."""
    had_plan: Mapped[bool] = mapped_column(server_default=text("false"))
    """Whether the mirror has ever seen an item of a plan's product. The subscription then stands for a plan forever."""
    pending_until: Mapped[datetime | None]
    """When Stripe discards a change that waits for its payment. None if no change waits."""
    announced: Mapped[list[str]] = mapped_column(server_default="{}")
    """The ids of the events of which the receivers were notified. A replay of such an event sends no notification."""
    created: Mapped[datetime]


class Invoice(Mirrored):
    """A Stripe invoice."""

    __tablename__ = "invoices"
    __table_args__ = (
        Index(None, "organization_id", "created"),  # lists an organization's invoices, newest first
        # Every merge reads an organization's unpaid invoices, and nearly all invoices are paid.
        Index("ix_invoices_unpaid", "organization_id", postgresql_where=text("status IN ('open', 'uncollectible')")),
        # Each scrape of the metrics counts the invoices that differ from the charges calculated ahead.
        Index("ix_invoices_differing", "created", postgresql_where=text("differences <> '[]'")),
        # Otherwise the metric would count a difference although there was nothing to compare with.
        CheckConstraint("calculated_due IS NOT NULL OR differences = '[]'", name="differences"),
        # Stripe's values, and our own ``deleted`` for a draft that was deleted at Stripe
        CheckConstraint("status IN ('draft', 'open', 'paid', 'uncollectible', 'void', 'deleted')", name="status"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"))
    subscription_id: Mapped[str | None]
    status: Mapped[str]
    billing_reason: Mapped[str | None]
    collection_method: Mapped[str] = mapped_column(server_default="charge_automatically")
    due_date: Mapped[datetime | None]
    attempted: Mapped[bool] = mapped_column(server_default=text("true"))
    attempt_count: Mapped[int] = mapped_column(server_default="0")
    auto_advance: Mapped[bool] = mapped_column(server_default=text("false"))
    payment_under_way: Mapped[bool | None]
    """Whether a payment is in progress, as a lookup found. None if Stripe has shown a newer state since."""
    action_required: Mapped[bool | None]
    """Whether the cardholder must approve the payment, as a lookup found. None like ``payment_under_way``."""
    withdrawal_waits: Mapped[bool] = mapped_column(server_default=text("false"))
    """Whether the next event about the invoice queues the withdrawal of its credits, unless it is still a draft."""
    number: Mapped[str | None]
    currency: Mapped[str]
    total: Mapped[int]
    taxes: Mapped[int | None]
    """The taxes that the total contains. None in a row that no merge has written since migration 0024."""
    amount_due: Mapped[int]
    amount_paid: Mapped[int]
    amount_remaining: Mapped[int]
    amount_credited: Mapped[int] = mapped_column(server_default="0")
    """What credit notes took off the invoice, or gave back of what was paid."""
    next_payment_attempt: Mapped[datetime | None]
    hosted_invoice_url: Mapped[str | None]
    invoice_pdf: Mapped[str | None]
    lines: Mapped[list[Json] | None]
    """The lines, as ``InvoiceLine.to_json`` writes them. None if Stripe has not shown all of them."""
    calculated_due: Mapped[int | None]
    """The amount due that Stripe calculated before the billing date. None if it did not, or for another invoice."""
    differences: Mapped[list[Json]] = mapped_column(server_default="[]")
    """What explains the difference to ``calculated_due``, as cause and amount."""
    announced: Mapped[list[str]] = mapped_column(server_default="{}")
    """The ids of the events of which the receivers were notified, as for a subscription."""
    created: Mapped[datetime]
    amount_refunded: Mapped[int | None] = query_expression()
    """What was paid back of the charges. Only ``invoices.listing`` loads it."""


UNPAID = ("open", "uncollectible")
"""The statuses of an invoice that is still owed. A written-off invoice is a debt until it is paid or voided."""
# The statuses are literals, because PostgreSQL's prepared plan could not use the partial index with parameters.
IS_UNPAID = and_(
    Invoice.status.in_(bindparam("unpaid_statuses", UNPAID, expanding=True, literal_execute=True)),
    Invoice.amount_remaining > 0,
)


# Stripe's times have whole seconds. Of two invoices of one second, the later one has the greater number. A draft has no
# number yet. As text, 10 comes before 9, so the longer number counts as greater.
NEWEST_FIRST = (
    Invoice.created.desc(),
    func.coalesce(func.length(Invoice.number), 0).desc(),
    func.coalesce(Invoice.number, "").desc(),
    Invoice.id.desc(),
)


class Discounts(Mirrored):
    """The discounts of a holder, which is a subscription or a customer. Stripe returns no discount by its own id."""

    __tablename__ = "discounts"

    holder_id: Mapped[str] = mapped_column(primary_key=True)
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"))
    entries: Mapped[list[Json]]
    """Each discount's id, name, percentage or amount, currency and end."""


class Charge(Mirrored):
    """A charge that was refunded or disputed. The mirror keeps no others, because invoices show what was paid."""

    __tablename__ = "charges"
    __table_args__ = (
        Index(None, "organization_id"),  # each merge reads the returned payments of its organizations
        # An unknown state would not stop the next purchase.
        CheckConstraint("dispute IN ('open', 'lost')", name="dispute"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"))
    invoice_id: Mapped[str | None]
    currency: Mapped[str]
    amount: Mapped[int]
    amount_refunded: Mapped[int]
    dispute: Mapped[str | None]
    """``open``, ``lost``, or None if no dispute is open or lost."""
    amount_lost: Mapped[int]
    created: Mapped[datetime]


class UpcomingInvoice(Mirrored):
    """The charges that Stripe calculated some days ahead. The invoice has no id, so each subscription has one row.

    The row stays after the billing date, until Stripe calculates the next charges. The invoice is compared with it.
    """

    __tablename__ = "upcoming_invoices"
    __table_args__ = (CheckConstraint("amount_due >= 0", name="amount_due"),)  # never negative at Stripe

    subscription_id: Mapped[str] = mapped_column(primary_key=True)
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"))
    amount_due: Mapped[int]
    currency: Mapped[str]
    billing_date: Mapped[datetime]
    total: Mapped[int | None]
    """The total before the customer's balance. None in a row that no merge has written since migration 0025."""
    lines: Mapped[list[Json] | None]
    """The lines, as in ``Invoice``."""
