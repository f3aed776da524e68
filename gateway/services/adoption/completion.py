"""Complete the adoption of each linked customer in the background.

Name the organization in the customer's metadata at Stripe, and copy what Stripe's list did not show. Each customer
takes several calls. During the walk, they would make the adoption of a large account take an hour.
"""

from collections.abc import Generator
from contextlib import suppress

import structlog
from sqlalchemy import delete, func, select

from gateway.db.models import Adoption, Organization
from gateway.errors import NotFound, StripeRejected
from gateway.services.customers.existing import fill_mirror
from gateway.services.rate_limits.stripe_budget import Priority, calling_as
from gateway.services.runtime import Gateway
from gateway.stripe_api.client import is_key_refused, stripe_call
from gateway.stripe_api.snapshots import ORGANIZATION_ID_KEY, UnreadableObject

PAGE_SIZE = 100

log = structlog.get_logger()


def count_incomplete(gateway: Gateway) -> int:
    """Return how many adopted organizations are not complete yet."""
    with gateway.database.reading() as session:
        return session.scalars(select(func.count()).select_from(Adoption)).one()


def complete_all(gateway: Gateway) -> Generator[str]:
    """Complete every waiting adoption, and yield its organization. Raise StripeUnavailable.

    An adoption that Stripe refuses stays for the next run. The caller may stop after any organization.
    """
    organization_id = ""
    while waiting := load_waiting(gateway, organization_id):
        for organization_id, customer_id in waiting:
            try:
                complete(gateway, organization_id, customer_id)
            except (StripeRejected, UnreadableObject) as error:
                if isinstance(error, StripeRejected) and is_key_refused(error):
                    raise
                log.exception("adoption_incomplete", organization_id=organization_id)
            yield organization_id


def load_waiting(gateway: Gateway, after: str) -> list[tuple[str, str]]:
    """Return the next waiting organizations with their customers."""
    query = (
        select(Adoption.organization_id, Organization.stripe_customer_id)
        .join(Organization, Organization.id == Adoption.organization_id)
        .where(Adoption.organization_id > after)
        .order_by(Adoption.organization_id)
        .limit(PAGE_SIZE)
    )
    with gateway.database.reading() as session:
        return [(organization, customer or "") for organization, customer in session.execute(query)]


def complete(gateway: Gateway, organization_id: str, customer_id: str) -> None:
    """Complete one adoption. Raise StripeUnavailable, StripeRejected and UnreadableObject.

    With the metadata, a later restore or another gateway finds the link again. The update sets one value, so repeating
    it is harmless. Under a fixed idempotency key, Stripe would repeat a 5xx for a day.
    """
    with calling_as(Priority.RECONCILIATION), suppress(NotFound), stripe_call():  # the customer may be deleted since
        gateway.stripe.v1.customers.update(customer_id, {"metadata": {ORGANIZATION_ID_KEY: organization_id}})
    fill_mirror(gateway, customer_id)
    with gateway.database.transaction() as session:
        session.execute(delete(Adoption).where(Adoption.organization_id == organization_id))
