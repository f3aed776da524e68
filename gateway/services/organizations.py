"""An organization here and its customer at Stripe."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session
from stripe.params import CustomerCreateParams

from gateway.db.models import Organization
from gateway.errors import ContactSalesRequired
from gateway.services.context import Caller, Gateway
from gateway.services.refresh import merge_answer
from gateway.stripe_api.client import stripe_call
from gateway.stripe_api.snapshots import ORGANIZATION_ID, CustomerSnapshot


def lock_organization(session: Session, caller: Caller, now: datetime) -> Organization:
    """The caller's organization, created if it was never seen, and locked for this transaction."""
    session.execute(
        insert(Organization)
        .values(id=caller.organization_id, name=caller.name, email=caller.email, created_at=now)
        .on_conflict_do_nothing()
    )
    query = select(Organization).where(Organization.id == caller.organization_id).with_for_update()
    organization = session.scalars(query).one()
    refuse_closed(organization)
    return organization


def refuse_closed(organization: Organization | None) -> None:
    """Raises ContactSalesRequired if the organization's customer was deleted at Stripe."""
    if organization is not None and organization.deleted:
        raise ContactSalesRequired("The organization's billing account was closed; our sales team can help.")


def ensure_customer(gateway: Gateway, caller: Caller) -> str:
    """The id of the organization's Stripe customer, created if it has none.

    Safe to call twice at once and after a crash: the idempotency key and the parameters derive from the organization's
    row alone, so Stripe answers the same customer. Should the process die before the merge, the customer's own webhook
    links the two as well.
    """
    with gateway.database.transaction() as session:
        organization = lock_organization(session, caller, gateway.clock())
    if organization.stripe_customer_id is not None:
        return organization.stripe_customer_id
    params: CustomerCreateParams = {"metadata": {ORGANIZATION_ID: organization.id}}
    if organization.name is not None:
        params["name"] = organization.name
    if organization.email is not None:
        params["email"] = organization.email
    with stripe_call():
        answer = gateway.stripe.v1.customers.create(params, {"idempotency_key": f"customer:{organization.id}"})
    merge_answer(gateway, CustomerSnapshot, answer, cause="enrolment")
    return answer.id
