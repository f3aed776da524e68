"""The row that Plan Details are built from. One statement reads it from the local tables."""

from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, bindparam, case, exists, func, select
from sqlalchemy.orm import InstrumentedAttribute

from gateway.db.models import (
    IS_OPEN,
    NEWEST_FIRST,
    Discounts,
    Invoice,
    Organization,
    OrganizationPlan,
    PaymentMethod,
    PlanChange,
    Subscription,
    UpcomingInvoice,
    UsageLevel,
)
from gateway.db.prepared import Prepared
from gateway.json_types import Json
from gateway.services.invoices.listing import IS_PAYABLE, IS_VISIBLE
from gateway.services.mirror.charged_method import IS_CHARGED
from gateway.services.plan_table.rows import PLAN_OF_PRODUCT
from gateway.services.subscription.billing_rows import HAD_TRIAL, UNREAD


class DetailsRow(NamedTuple):
    """The columns of ``SELECT_DETAILS`` in its order."""

    deleted: bool
    customer_currency: str | None
    balance: int
    plan_of_product: dict[str, str] | None
    plan: OrganizationPlan | None
    subscription: Subscription | None
    discounts: list[Json] | None
    customer_discounts: list[Json] | None
    upcoming: UpcomingInvoice | None
    payment_method: Json | None
    invoice: Json | None
    change: Json | None
    may_pay: bool
    """Whether an invoice can be paid now."""
    had_trial: bool
    reported_units: list[str] | None = None
    """The units whose levels services have reported."""


EMPTY_ROW = DetailsRow(
    False, None, 0, None, None, None, None, None, None, None, None, None, may_pay=False, had_trial=False
)
"""The row of an organization that the gateway has never seen."""


def build_object(*columns: InstrumentedAttribute[Any]) -> ColumnElement[Any]:
    """Return a JSON object of the columns, by name. One value takes less time than a column each."""
    return func.json_build_object(*(part for each in columns for part in (each.key, each)))


NEWEST_INVOICE = (
    select(build_object(Invoice.id, Invoice.status, Invoice.total, Invoice.currency))
    .where(Invoice.organization_id == Organization.id, IS_VISIBLE)
    .order_by(*NEWEST_FIRST)
    .limit(1)
    .correlate(Organization)
    .scalar_subquery()
)
# A unique index allows one open change per organization.
OPEN_CHANGE = (
    select(build_object(PlanChange.id, PlanChange.state, PlanChange.to_plan, PlanChange.quantity))
    .where(PlanChange.organization_id == Organization.id, IS_OPEN)
    .correlate(Organization)
    .scalar_subquery()
)
PAYMENT_METHOD = case(
    (
        PaymentMethod.id.is_not(None),
        build_object(
            PaymentMethod.id,
            PaymentMethod.type,
            PaymentMethod.label,
            PaymentMethod.brand,
            PaymentMethod.last4,
            PaymentMethod.exp_month,
            PaymentMethod.exp_year,
        ),
    )
)
REPORTED_UNITS = (
    select(func.json_agg(UsageLevel.unit))
    .where(UsageLevel.organization_id == Organization.id)
    .correlate(Organization)
    .scalar_subquery()
)
MAY_PAY = exists().where(Invoice.organization_id == Organization.id, IS_PAYABLE).correlate(Organization)


def select_discounts(holder_id: InstrumentedAttribute[Any]) -> ColumnElement[Any]:
    """Return the discounts of the subscription or customer with this id."""
    return select(Discounts.entries).where(Discounts.holder_id == holder_id).scalar_subquery()


# One statement, because the Billing page waits for it and every change answers with it.
SELECT_DETAILS = (
    select(
        Organization.deleted,
        Organization.currency,
        Organization.balance,
        PLAN_OF_PRODUCT,
        OrganizationPlan,
        Subscription,
        select_discounts(Subscription.id),
        select_discounts(Organization.stripe_customer_id),
        UpcomingInvoice,
        PAYMENT_METHOD,
        NEWEST_INVOICE,
        OPEN_CHANGE,
        MAY_PAY,
        HAD_TRIAL,
        REPORTED_UNITS,
    )
    .select_from(Organization)
    .outerjoin(OrganizationPlan, OrganizationPlan.organization_id == Organization.id)
    .outerjoin(Subscription, Subscription.id == OrganizationPlan.subscription_id)
    .outerjoin(UpcomingInvoice, UpcomingInvoice.subscription_id == OrganizationPlan.subscription_id)
    .outerjoin(PaymentMethod, IS_CHARGED)
    .where(Organization.id == bindparam("organization_id"))
)
DETAILS = Prepared(SELECT_DETAILS, without=UNREAD)
