"""Compare one organization with Stripe now, without changing anything."""

from sqlalchemy import select

from gateway.db.models import Organization, PaymentMethod, Subscription
from gateway.errors import NotFound
from gateway.services.reconciliation.differences import Difference
from gateway.services.reconciliation.drift_phases import (
    PAGE_SIZE,
    UNSETTLED_STATUSES,
    Page,
    compare_listed,
    compare_plans,
    compare_unlisted,
)
from gateway.services.runtime import Gateway
from gateway.stripe_api.client import stripe_call
from gateway.stripe_api.snapshots import (
    ENDED,
    CustomerSnapshot,
    InvoiceSnapshot,
    PaymentMethodSnapshot,
    SubscriptionSnapshot,
)


def verify_organization(gateway: Gateway, organization_id: str) -> list[Difference]:
    """Return how Stripe differs from the mirror, and the mirror from the plan table.

    Compare the customer, its last 100 subscriptions, its unsettled invoices and its payment methods. Raise NotFound if
    the organization is unknown, or StripeUnavailable.
    """
    with gateway.database.reading() as session:
        organization = session.get(Organization, organization_id)
        if organization is None:
            raise NotFound(f"There is no organization {organization_id}.")
        living = select(Subscription.id).where(Subscription.status.not_in(ENDED))
        attached = select(PaymentMethod.id).where(PaymentMethod.detached.is_(False))
        subscriptions = session.scalars(living.where(Subscription.organization_id == organization_id)).all()
        methods = session.scalars(attached.where(PaymentMethod.organization_id == organization_id)).all()
    customer_id = organization.stripe_customer_id
    pages: list[Page] = []
    if customer_id is not None:
        pages = list_at_stripe(gateway, customer_id)
        seen = {each for page in pages for each in page.seen}
        pages += [
            compare_unlisted(gateway, kind, sorted(ids), ids)
            for kind, ids in (
                (CustomerSnapshot, {customer_id}),
                (SubscriptionSnapshot, {*subscriptions} - seen),
                (PaymentMethodSnapshot, {*methods} - seen),
            )
        ]
    return [each for page in pages for each in page.differences] + compare_plans(gateway, [organization_id])


def list_at_stripe(gateway: Gateway, customer_id: str) -> list[Page]:
    """Compare what Stripe lists for a customer."""
    with stripe_call():
        subscriptions = gateway.stripe.v1.subscriptions.list(
            {
                "customer": customer_id,
                "status": "all",
                "limit": PAGE_SIZE,
                "expand": ["data.default_payment_method"],
            }
        )
        invoices = [
            gateway.stripe.v1.invoices.list({"customer": customer_id, "status": status, "limit": PAGE_SIZE})
            for status in UNSETTLED_STATUSES
        ]
    return [
        compare_listed(gateway, SubscriptionSnapshot, subscriptions),
        *(compare_listed(gateway, InvoiceSnapshot, each) for each in invoices),
    ]
