"""A renewal that Stripe has made and whose webhooks are still on their way.

A change that does not know the renewal's invoice would take the new period for paid.
"""

from gateway.services.mirror.refresh import refresh
from gateway.services.runtime import Gateway
from gateway.services.subscription.billing_state import BillingState, load_billing_state
from gateway.stripe_api.snapshots import InvoiceSnapshot, SubscriptionSnapshot


def refresh_renewal(gateway: Gateway, organization_id: str) -> None:
    """Merge the last invoices that the mirror lacks. If it lacks none, refresh the subscription first.

    So a change makes only one more call if the mirror knows the renewal without its invoice.
    """
    billing = load(gateway, organization_id)
    if billing.subscription is not None and not billing.unseen_invoices:
        refresh(gateway, SubscriptionSnapshot.kind, billing.subscription.id)
    refresh_unseen_invoices(gateway, organization_id)


def refresh_unseen_invoices(gateway: Gateway, organization_id: str) -> None:
    """Merge Stripe's state of the last invoices that the mirror lacks."""
    for each in load(gateway, organization_id).unseen_invoices:
        refresh(gateway, InvoiceSnapshot.kind, each)


def load(gateway: Gateway, organization_id: str) -> BillingState:
    """Load the organization's billing state."""
    with gateway.database.reading() as session:
        return load_billing_state(session, organization_id, gateway.catalog)
