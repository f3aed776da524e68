"""Notice that an organization's customer was deleted at Stripe, and refuse requests that need it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from gateway.db.models import Organization
from gateway.errors import ContactSalesRequired, NotFound, StripeRejected
from gateway.services.mirror.refresh import merge_snapshots, retrieve
from gateway.services.runtime import Gateway
from gateway.stripe_api.snapshots import CustomerSnapshot, Snapshot


def refuse_deleted_customer(*, is_deleted: bool) -> None:
    """Raise ContactSalesRequired if the mirror says that the organization's customer was deleted."""
    if is_deleted:
        raise_account_closed()


def raise_account_closed() -> NoReturn:
    """Raise ContactSalesRequired. Stripe cannot restore a deleted customer."""
    raise ContactSalesRequired("The organization's billing account was closed. Our sales team can help.")


@contextmanager
def detect_deletion(gateway: Gateway, organization_id: str) -> Iterator[None]:
    """Wrap a ``stripe_call`` and check whether the customer was deleted if Stripe rejects the call.

    Raise ContactSalesRequired if it was. The mirror may not know yet, because the webhook of a deletion can be late.
    A successful call costs no additional request.
    """
    try:
        yield
    except (NotFound, StripeRejected):
        check_for_deletion(gateway, organization_id)
        raise


def check_for_deletion(gateway: Gateway, organization_id: str) -> None:
    """Retrieve the organization's customer from Stripe. Raise ContactSalesRequired if it was deleted."""
    with gateway.database.reading() as session:
        organization = session.get_one(Organization, organization_id)
    refuse_deleted_customer(is_deleted=organization.deleted)
    if organization.stripe_customer_id is not None:
        refuse_if_deleted(gateway, retrieve(gateway, CustomerSnapshot.kind, organization.stripe_customer_id))


def refuse_if_deleted(gateway: Gateway, customer: Snapshot | None) -> None:
    """Merge a deleted customer into the mirror and raise ContactSalesRequired. Accept any other customer."""
    if isinstance(customer, CustomerSnapshot) and customer.deleted:
        merge_snapshots(gateway, customer)
        raise_account_closed()
