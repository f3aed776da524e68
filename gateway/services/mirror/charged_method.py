"""The payment method that Stripe charges for an organization's plan.

Stripe takes the first of these that is set: the subscription's own payment method, the customer's invoice settings, and
the default source of older accounts.
https://docs.stripe.com/billing/subscriptions/payment-methods-setting#payment-method-priority
"""

from sqlalchemy import and_, bindparam, case, func, select
from sqlalchemy.orm import Session

from gateway.db.models import Organization, OrganizationPlan, PaymentMethod, Subscription
from gateway.stripe_api.events import JsonObject
from gateway.stripe_api.snapshots import ENDED, CustomerSnapshot, id_of

# For a row of an organization, outer joined with one of its subscriptions. An ended subscription is charged for
# nothing more.
CHARGED_ID = func.coalesce(
    case((Subscription.status.not_in(ENDED), Subscription.default_payment_method_id)),
    Organization.default_payment_method_id,
    Organization.default_source_id,
)
IS_CHARGED = and_(PaymentMethod.id == CHARGED_ID, PaymentMethod.detached.is_(False))
"""Joins the payment method to such a row. Stripe has cleared a detached one, and the event of that may be late."""
OF_ORGANIZATION = (
    select(PaymentMethod)
    .select_from(Organization)
    .outerjoin(OrganizationPlan, OrganizationPlan.organization_id == Organization.id)
    .outerjoin(Subscription, Subscription.id == OrganizationPlan.subscription_id)
    .join(PaymentMethod, IS_CHARGED)
    .where(Organization.id == bindparam("organization_id"))
)


def find_charged_method(session: Session, organization_id: str) -> PaymentMethod | None:
    """Return the payment method that Stripe charges for the plan, or None if the mirror knows none."""
    return session.scalars(OF_ORGANIZATION, {"organization_id": organization_id}).one_or_none()


def get_own(subscription: JsonObject) -> str | None:
    """Return the payment method that Stripe's subscription names itself, or None if the customer's default counts."""
    return id_of(subscription["default_payment_method"]) or id_of(subscription.get("default_source"))


def get_default(customer: CustomerSnapshot) -> str | None:
    """Return the payment method that Stripe charges for subscriptions and invoices that name none."""
    return customer.default_payment_method_id or customer.default_source_id
