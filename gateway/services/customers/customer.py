"""An organization and its customer at Stripe.

``ensure_customer`` creates the customer. The merge writes the customer's id into the organization's row.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, select, update
from sqlalchemy.orm import Session
from stripe import Customer as StripeCustomer

from gateway.db import jobs
from gateway.db.models import Organization
from gateway.errors import CustomerMissing, StripeRejected, StripeUnavailable
from gateway.failpoints import Failpoint, failpoint
from gateway.services.customers.deletion import refuse_deleted_customer
from gateway.services.customers.existing import (
    adopt_customer,
    insert_organization,
    is_anothers,
    names,
    search_customer,
)
from gateway.services.mirror.created_customers import customer_key_prefix
from gateway.services.mirror.refresh import merge_snapshots, read_answer
from gateway.services.runtime import Caller, Gateway
from gateway.stripe_api.client import is_answered_failure, refuses, stripe_call
from gateway.stripe_api.idempotency_keys import KEY_LIFETIME
from gateway.stripe_api.snapshots import ORGANIZATION_ID_KEY, CustomerSnapshot
from gateway.stripe_api.times import to_unix

if TYPE_CHECKING:
    from stripe.params import CustomerCreateParams, CustomerListParams

# Delay of the job that searches for the customer of a new organization. An enrolment has searched by itself before.
SEARCH_AFTER = timedelta(minutes=1)
MAX_CLOCK_SKEW = timedelta(hours=1)  # our clock and Stripe's never differ by more

ORGANIZATION_FOR_UPDATE = select(Organization).where(Organization.id == bindparam("organization_id")).with_for_update()


@dataclass(frozen=True, kw_only=True)
class Customer:
    """The organization's customer at Stripe, as the mirror knows it."""

    id: str
    revision: int


def ensure_organization(session: Session, caller: Caller, now: datetime) -> Organization:
    """Lock the caller's organization for this transaction and return it. Create it if it is new."""
    its_id = {"organization_id": caller.organization_id}
    if (known := session.scalar(ORGANIZATION_FOR_UPDATE, its_id)) is not None:
        return known
    if insert_organization(session, caller, now):
        jobs.defer(session, jobs.FIND_CUSTOMER, its_id, at=now + SEARCH_AFTER)
    return session.scalars(ORGANIZATION_FOR_UPDATE, its_id).one()


def lock_organization(session: Session, caller: Caller, now: datetime) -> Organization:
    """Lock the caller's organization and return it, for a request that needs a customer. Create it if it is new.

    Raise ContactSalesRequired if the customer was deleted at Stripe.
    """
    organization = ensure_organization(session, caller, now)
    refuse_deleted_customer(is_deleted=organization.deleted)
    return organization


def find_customer(gateway: Gateway, organization_id: str) -> Customer | None:
    """Return the organization's customer, or None if there is none or it was deleted."""
    with gateway.database.reading() as session:
        row = session.get(Organization, organization_id)
    if row is None or row.stripe_customer_id is None or row.deleted:
        return None
    return Customer(id=row.stripe_customer_id, revision=row.revision)


def ensure_customer(gateway: Gateway, caller: Caller) -> str:
    """Return the id of the organization's Stripe customer. Adopt or create the customer if there is none.

    Raise StripeUnavailable, ContactSalesRequired if the customer was deleted earlier, and CustomerMissing if someone
    deleted the new customer before the merge linked it.

    Another program may have made a customer that names the organization, so the gateway searches Stripe first. The
    search does not show a customer of the last minute.

    Concurrent calls are safe, and so is a call after a crash. The idempotency key and the parameters derive only from
    the organization's row, so Stripe returns the same customer. If the process dies before the merge, the customer's
    webhook arrives in the inbox, and ``webhooks.drain.drain_batch`` merges it and links the two.

    A key is retired when it is too old, or when Stripe answers 5xx, because Stripe would repeat that answer for a day.
    The gateway then does not know whether Stripe created a customer. It therefore reads Stripe's list before it uses
    the next key.

    The e-mail address comes from the caller's token. If Stripe rejects it, the customer is created without one.
    """
    now = gateway.clock()
    with gateway.database.transaction() as session:
        organization = lock_organization(session, caller, now)
        if organization.stripe_customer_id is not None:
            return organization.stripe_customer_id
        if organization.customer_key_since is not None and now - organization.customer_key_since > KEY_LIFETIME:
            organization.customer_key += 1
            organization.customer_key_since = None
        organization.customer_key_since = organization.customer_key_since or now
    found = search_customer(gateway, organization.id)
    if found is None and organization.customer_key > 0:
        found = find_customer_at_stripe(gateway, organization)
    if found is not None:
        adopt_customer(gateway, found)
        return get_customer_id(gateway, caller)
    try:
        answer = create_customer(gateway, organization)
    except StripeUnavailable as error:
        if is_answered_failure(error):
            retire_key(gateway, organization)
        raise
    except StripeRejected as error:
        if organization.email is None or not refuses(error, "email"):
            raise
        retire_key(gateway, organization, email=None)  # Stripe would repeat the rejection under the same key for a day
        return ensure_customer(gateway, caller)
    failpoint(Failpoint.CUSTOMER_CREATED)
    # Stripe repeats the answer if another process has made the same call, and that process may not have merged it. The
    # key shows in both cases that the gateway made the customer, which therefore has no trial behind it.
    states = read_answer(gateway, CustomerSnapshot, answer, cause="enrolment")
    ours = [replace(each, seen=replace(each.seen, request_key=creation_key(organization))) for each in states]
    merge_snapshots(gateway, *ours)
    return get_customer_id(gateway, caller)


def get_customer_id(gateway: Gateway, caller: Caller) -> str:
    """Return the id of the customer that the merge linked. Raise CustomerMissing if there is none."""
    if (customer := find_customer(gateway, caller.organization_id)) is None:
        raise CustomerMissing("The billing account is not set up yet. Please try again.")
    return customer.id


def create_customer(gateway: Gateway, organization: Organization) -> StripeCustomer:
    """Create the customer at Stripe under the organization's current idempotency key."""
    params: CustomerCreateParams = {"metadata": {ORGANIZATION_ID_KEY: organization.id}}
    if organization.name is not None:
        params["name"] = organization.name
    if organization.email is not None:
        params["email"] = organization.email
    with stripe_call():
        return gateway.stripe.v1.customers.create(params, {"idempotency_key": creation_key(organization)})


def creation_key(organization: Organization) -> str:
    """Return the idempotency key under which the gateway creates the organization's customer now."""
    return f"{customer_key_prefix(organization.id)}{organization.customer_key}"


def retire_key(gateway: Gateway, organization: Organization, **other: None) -> None:
    """Make the next call read Stripe's list and use a new key, unless another process has already arranged that.

    ``other`` names columns to clear as well, because the parameters of the next call derive from them.
    """
    is_current = Organization.customer_key == organization.customer_key
    with gateway.database.transaction() as session:
        session.execute(
            update(Organization)
            .where(Organization.id == organization.id, Organization.stripe_customer_id.is_(None), is_current)
            .values(customer_key=Organization.customer_key + 1, customer_key_since=None, **other)
        )


def find_customer_at_stripe(gateway: Gateway, organization: Organization) -> str | None:
    """Return the id of the customer that an earlier key created, or None.

    Stripe's list shows a new customer immediately. Stripe's search can lag by an hour.
    """
    filters: CustomerListParams = {"limit": 100, "created": {"gte": to_unix(organization.created_at - MAX_CLOCK_SKEW)}}
    if organization.email is not None:
        filters["email"] = organization.email
    with stripe_call():
        for customer in gateway.stripe.v1.customers.list(filters).auto_paging_iter():
            if names(customer, organization.id) and not is_anothers(gateway, organization.id, customer.id):
                return customer.id
    return None
