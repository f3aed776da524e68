"""An organization here and its customer at Stripe."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import bindparam, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session
from stripe import Customer as StripeCustomer
from stripe.params import CustomerCreateParams, CustomerListParams

from gateway.crash_points import CrashPoint, reached
from gateway.db.models import Organization
from gateway.errors import CustomerMissing, StripeRejected, StripeUnavailable
from gateway.services.customers.deletion import refuse_deleted_customer
from gateway.services.mirror.refresh import merge_answer, refresh
from gateway.services.runtime import Caller, Gateway
from gateway.stripe_api.client import answered_failure, refuses, stripe_call
from gateway.stripe_api.snapshots import ORGANIZATION_ID, CustomerSnapshot
from gateway.stripe_api.times import to_unix

KEY_LIFETIME = timedelta(hours=23)  # Stripe forgets an idempotency key after 24 hours: a later call could act again
MAX_CLOCK_SKEW = timedelta(hours=1)  # more than ours and Stripe's ever are


ORGANIZATION_FOR_UPDATE = select(Organization).where(Organization.id == bindparam("organization_id")).with_for_update()


@dataclass(frozen=True, kw_only=True)
class Customer:
    """The organization's customer at Stripe, as known here."""

    id: str
    default_card_id: str | None
    revision: int


def ensure_organization(session: Session, caller: Caller, now: datetime) -> Organization:
    """The caller's organization, created if it was never seen, and locked for this transaction."""
    its_id = {"organization_id": caller.organization_id}
    if (known := session.scalar(ORGANIZATION_FOR_UPDATE, its_id)) is not None:
        return known
    session.execute(
        insert(Organization)
        .values(id=caller.organization_id, name=caller.name, email=caller.email, created_at=now)
        .on_conflict_do_nothing()
    )
    return session.scalars(ORGANIZATION_FOR_UPDATE, its_id).one()


def lock_organization(session: Session, caller: Caller, now: datetime) -> Organization:
    """The same, for what takes a customer. Raises ContactSalesRequired if the organization's was deleted."""
    organization = ensure_organization(session, caller, now)
    refuse_deleted_customer(organization)
    return organization


def find_customer(gateway: Gateway, caller: Caller) -> Customer | None:
    """The organization's customer, if it has one."""
    with gateway.database.reading() as session:
        row = session.get(Organization, caller.organization_id)
    if row is None or row.stripe_customer_id is None or row.deleted:
        return None
    return Customer(id=row.stripe_customer_id, default_card_id=row.default_payment_method_id, revision=row.revision)


def ensure_customer(gateway: Gateway, caller: Caller) -> str:
    """The id of the organization's Stripe customer, created if it has none.

    Raises StripeUnavailable, and CustomerMissing if the customer that Stripe made is gone again.

    Safe to call twice at once and after a crash: the idempotency key and the parameters derive from the organization's
    row alone, so Stripe answers the same customer. Should the process die before the merge, the customer's own webhook
    links the two as well. A key ends, by its age or by an answer 5xx, which Stripe would repeat for a day: then nobody
    knows whether it made a customer, and Stripe's list is asked before the next key is used. The address came with a
    token; if Stripe does not take it, the customer is made without one.
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
    if organization.customer_key > 0 and (found := find_customer_at_stripe(gateway, organization)) is not None:
        refresh(gateway, CustomerSnapshot.kind, found)
        return get_customer_id(gateway, caller)
    try:
        answer = create_customer(gateway, organization)
    except StripeUnavailable as error:
        if answered_failure(error):
            retire_key(gateway, organization)
        raise
    except StripeRejected as error:
        if organization.email is None or not refuses(error, "email"):
            raise
        retire_key(gateway, organization, email=None)  # under the same key Stripe would say so for a day
        return ensure_customer(gateway, caller)
    reached(CrashPoint.CUSTOMER_CREATED)
    merge_answer(gateway, CustomerSnapshot, answer, cause="enrolment")
    return get_customer_id(gateway, caller)


def get_customer_id(gateway: Gateway, caller: Caller) -> str:
    """The id of the customer that the merge has linked. Raises CustomerMissing."""
    if (customer := find_customer(gateway, caller)) is None:
        raise CustomerMissing("The billing account is not set up yet; please try again.")
    return customer.id


def create_customer(gateway: Gateway, organization: Organization) -> StripeCustomer:
    """Make the call."""
    params: CustomerCreateParams = {"metadata": {ORGANIZATION_ID: organization.id}}
    if organization.name is not None:
        params["name"] = organization.name
    if organization.email is not None:
        params["email"] = organization.email
    key = f"customer:{organization.id}:{organization.customer_key}"
    with stripe_call():
        return gateway.stripe.v1.customers.create(params, {"idempotency_key": key})


def retire_key(gateway: Gateway, organization: Organization, **other: None) -> None:
    """Let the next call look at Stripe and use another key, unless another process has said so already.

    ``other``: columns that are emptied with it, since the parameters of the next call derive from them.
    """
    spent = Organization.customer_key == organization.customer_key
    with gateway.database.transaction() as session:
        session.execute(
            update(Organization)
            .where(Organization.id == organization.id, Organization.stripe_customer_id.is_(None), spent)
            .values(customer_key=Organization.customer_key + 1, customer_key_since=None, **other)
        )


def find_customer_at_stripe(gateway: Gateway, organization: Organization) -> str | None:
    """The id of the customer that an earlier key made, if it did.

    By Stripe's list, which knows at once what was created; its search may lag behind for an hour.
    """
    filters: CustomerListParams = {"limit": 100, "created": {"gte": to_unix(organization.created_at - MAX_CLOCK_SKEW)}}
    if organization.email is not None:
        filters["email"] = organization.email
    with stripe_call():
        for customer in gateway.stripe.v1.customers.list(filters).auto_paging_iter():
            if customer.metadata and customer.metadata.to_dict().get(ORGANIZATION_ID) == organization.id:
                return customer.id
    return None
