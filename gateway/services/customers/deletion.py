"""What holds once an organization's customer was deleted at Stripe, and how that is noticed."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from gateway.db.models import Organization
from gateway.errors import ContactSalesRequired, NotFound, StripeRejected
from gateway.services.mirror.refresh import merge_snapshots, retrieve
from gateway.services.runtime import Gateway
from gateway.stripe_api.snapshots import CustomerSnapshot, Snapshot


def refuse_deleted_customer(organization: Organization | None) -> None:
    """Raises ContactSalesRequired if the organization's customer was deleted at Stripe."""
    if organization is not None and organization.deleted:
        raise_account_closed()


def raise_account_closed() -> NoReturn:
    """Raises ContactSalesRequired: a deleted customer does not come back."""
    raise ContactSalesRequired("The organization's billing account was closed; our sales team can help.")


@contextmanager
def detect_deletion(gateway: Gateway, organization_id: str) -> Iterator[None]:
    """Around a ``stripe_call``: if Stripe refuses it, the customer may have been deleted, and its webhook be late.

    Raises ContactSalesRequired then. As long as nothing is refused, Stripe is asked nothing more.
    """
    try:
        yield
    except (NotFound, StripeRejected):
        check_for_deletion(gateway, organization_id)
        raise


def check_for_deletion(gateway: Gateway, organization_id: str) -> None:
    """Ask Stripe for the organization's customer. Raises ContactSalesRequired if it was deleted."""
    with gateway.database.reading() as session:
        organization = session.get_one(Organization, organization_id)
    refuse_deleted_customer(organization)
    if organization.stripe_customer_id is not None:
        refuse_if_deleted(gateway, retrieve(gateway, CustomerSnapshot.kind, organization.stripe_customer_id))


def refuse_if_deleted(gateway: Gateway, customer: Snapshot | None) -> None:
    """Raises ContactSalesRequired if the customer was deleted, and lets the mirror know."""
    if isinstance(customer, CustomerSnapshot) and customer.deleted:
        merge_snapshots(gateway, customer)
        raise_account_closed()
