"""A renewal that Stripe has made and whose webhooks are still on their way.

A change that does not know the renewal's invoice would take the new period for paid.
"""

from gateway.services.mirror.refresh import refresh
from gateway.services.runtime import Gateway
from gateway.services.subscription.billing_state import BillingState, load_billing_state
from gateway.stripe_api.snapshots import InvoiceSnapshot, SubscriptionSnapshot


def refresh_renewal(gateway: Gateway, organization_id: str) -> None:
    """Merge the subscription, and then the last invoices that the mirror lacks of those that run."""
    if (subscription := load(gateway, organization_id).subscription) is not None:
        refresh(gateway, SubscriptionSnapshot.kind, subscription.id)
        billing = load(gateway, organization_id)
        for each in (subscription.id, *billing.duplicates):
            if each in billing.unseen_invoices:
                refresh(gateway, InvoiceSnapshot.kind, billing.unseen_invoices[each])


def refresh_unseen_invoices(gateway: Gateway, organization_id: str) -> None:
    """Merge the last invoices that the mirror lacks, also those of subscriptions that have ended."""
    for each in load(gateway, organization_id).unseen_invoices.values():
        refresh(gateway, InvoiceSnapshot.kind, each)


def load(gateway: Gateway, organization_id: str) -> BillingState:
    """Load the organization's billing state."""
    with gateway.database.reading() as session:
        return load_billing_state(session, organization_id, gateway.catalog)
