"""The statements that read an organization's billing state, each in one round trip, which costs more than the rows."""

from typing import Any, NamedTuple

from sqlalchemy import Text, and_, bindparam, case, exists, func, or_, select
from sqlalchemy.dialects.postgresql import aggregate_order_by

from gateway.db.models import (
    UNPAID,
    Invoice,
    Organization,
    OrganizationPlan,
    PaymentMethod,
    Price,
    Subscription,
    Trial,
    UsageLevel,
)
from gateway.db.models import Charge as StoredCharge
from gateway.db.prepared import Prepared
from gateway.services.mirror.charged_method import IS_CHARGED
from gateway.services.plan_table.rows import PLAN_OF_PRODUCT

# The prices that Stripe sells at now, by lookup key. While Stripe moves a key from one price to another, two
# rows can have it. The price that got the key last comes last and wins.
SOLD = func.json_build_object(
    *(
        part
        for name in ("id", "product_id", "unit_amount", "currency", "interval")
        for part in (name, getattr(Price, name))
    )
)
PRICES = (
    select(func.json_object_agg(Price.lookup_key, aggregate_order_by(SOLD, Price.as_of)))
    .where(Price.active, Price.lookup_key.is_not(None))
    .scalar_subquery()
)
REQUESTED = select(bindparam("organization_id", type_=Text).label("id")).subquery()


# ``standing.read_debt`` says the same of such an open invoice. Plan Details must show what refuses a purchase.
IS_AWAITED = and_(
    Invoice.status == "open",
    Invoice.collection_method == "send_invoice",
    (Invoice.due_date > func.greatest(Invoice.as_of, Subscription.as_of)).is_not(False),
)
# Stripe writes it off untried while sales has paused the collection. ``standing.read_debt`` calls it no debt either.
IS_FORGIVEN = and_(
    Invoice.status == "uncollectible",
    Invoice.collection_method == "charge_automatically",
    Invoice.attempted.is_(False),
)
UNSETTLED_INVOICES = (
    select(
        func.json_agg(
            func.json_build_array(
                Invoice.id,
                Invoice.subscription_id,
                Invoice.status,
                Invoice.amount_remaining,
                or_(Invoice.payment_under_way.is_(True), IS_AWAITED, IS_FORGIVEN),
                Invoice.amount_credited,
            )
        )
    )
    .select_from(Invoice)
    .outerjoin(Subscription, Subscription.id == Invoice.subscription_id)
    .where(
        Invoice.organization_id == Organization.id,
        or_(
            and_(Invoice.status.in_(("draft", *UNPAID)), Invoice.amount_remaining > 0),
            # Stripe credits no time of an earlier period.
            and_(
                Invoice.status == "paid",
                Invoice.amount_credited > 0,
                Invoice.created >= func.coalesce(OrganizationPlan.current_period_start, Invoice.created),
            ),
        ),
    )
    .correlate(Organization, OrganizationPlan)
    .scalar_subquery()
)
RETURNED_PAYMENTS = (
    select(
        func.json_agg(
            func.json_build_array(StoredCharge.invoice_id, Invoice.subscription_id, StoredCharge.amount_lost > 0)
        )
    )
    .select_from(StoredCharge)
    .outerjoin(Invoice, Invoice.id == StoredCharge.invoice_id)
    .where(
        StoredCharge.organization_id == Organization.id,
        or_(StoredCharge.amount_refunded > 0, StoredCharge.amount_lost > 0),
    )
    .correlate(Organization)
    .scalar_subquery()
)
# An invoice may be younger than what the mirror has seen, because its webhook is late.
UNSEEN_INVOICE = case(
    (exists().where(Invoice.id == Subscription.latest_invoice_id).correlate(Subscription), None),
    else_=Subscription.latest_invoice_id,
)
HAS_PAID = exists().where(Invoice.organization_id == Organization.id, Invoice.status == "paid", Invoice.amount_paid > 0)
LEVELS = (
    select(func.json_object_agg(UsageLevel.unit, UsageLevel.value))
    .where(UsageLevel.organization_id == REQUESTED.c.id)
    .correlate(REQUESTED)
    .scalar_subquery()
)
HAD_TRIAL = exists().where(Trial.organization_id == Organization.id).correlate(Organization)
SELECT_TERMS = (
    select(
        OrganizationPlan,
        Subscription,
        PLAN_OF_PRODUCT,
        PRICES,
        Organization.deleted,
        Organization.currency,
    )
    .select_from(REQUESTED)
    .outerjoin(Organization, Organization.id == REQUESTED.c.id)
    .outerjoin(OrganizationPlan, OrganizationPlan.organization_id == Organization.id)
    .outerjoin(Subscription, Subscription.organization_id == Organization.id)
)
UNREAD = frozenset(
    {
        "announced",
        "automatic_tax",
        "invoices_pending",
        "latest_invoice_id",
        "pending_until",
        "rank",
        "revision",
        "source",
        "trail",
    }
)
"""The columns of subscriptions and their upcoming invoices that no read for the UI needs."""
TERMS = Prepared(SELECT_TERMS, without=UNREAD)
"""Reads what the prices of the plans depend on for an organization."""
BILLING_STATE = Prepared(
    SELECT_TERMS.add_columns(
        PaymentMethod,
        UNSETTLED_INVOICES,
        HAS_PAID,
        Organization.stripe_customer_id,
        Organization.country,
        RETURNED_PAYMENTS,
        HAD_TRIAL,
        LEVELS,
        UNSEEN_INVOICE,
    ).outerjoin(PaymentMethod, IS_CHARGED)
)


class BillingRow(NamedTuple):
    """The columns of ``BILLING_STATE`` in its order. There is one row for each subscription, and at least one.

    A row of ``TERMS`` has only those without a default.
    """

    plan: OrganizationPlan | None
    subscription: Subscription | None
    plan_of_product: dict[str, str] | None
    prices: dict[str, dict[str, Any]] | None
    deleted: bool | None
    currency: str | None
    payment_method: PaymentMethod | None = None
    unsettled: list[tuple[str, str | None, str, int, bool, int]] | None = None
    has_paid: bool = False
    customer_id: str | None = None
    country: str | None = None
    returned: list[tuple[str, str | None, bool]] | None = None
    had_trial: bool = False
    levels: dict[str, int] | None = None
    unseen_invoice: str | None = None
