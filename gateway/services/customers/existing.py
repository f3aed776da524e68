"""Adopt a customer that names an organization in its metadata, and that the gateway did not create.

The merge links the two (``mirror.batch``), whether a webhook, a refresh or reconciliation shows the customer. It then
queues ``fill_mirror``, because the customer may have subscriptions, payment methods and invoices already. An
organization's own first request queues ``search_for_organization``. The history says ``adopted`` as the cause.
"""

from datetime import datetime

import structlog
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session
from stripe import Customer as StripeCustomer

from gateway.db import jobs
from gateway.db.models import Organization
from gateway.services.mirror.refresh import merge_snapshots, refresh, retrieve
from gateway.services.plan_table.attribution import ADOPTED
from gateway.services.plan_table.rows import load_plans
from gateway.services.rate_limits.stripe_budget import Priority, calling_as
from gateway.services.runtime import Caller, Gateway
from gateway.stripe_api.client import stripe_call
from gateway.stripe_api.snapshots import (
    ENDED,
    ORGANIZATION_ID_KEY,
    CustomerSnapshot,
    InvoiceSnapshot,
    PaymentMethodSnapshot,
    SubscriptionSnapshot,
)

MAX_COMPARED = 10  # customers of one organization whose subscriptions are compared

log = structlog.get_logger()


def introduce_organization(gateway: Gateway, caller: Caller) -> None:
    """Store an organization on its first request, and queue the search for its customer at Stripe."""
    with gateway.database.transaction() as session:
        if insert_organization(session, caller, gateway.clock()):
            jobs.defer(session, jobs.FIND_CUSTOMER, {"organization_id": caller.organization_id})


def insert_organization(session: Session, caller: Caller, now: datetime) -> bool:
    """Store the caller's organization. Return False if it is known already."""
    row = {"id": caller.organization_id, "name": caller.name, "email": caller.email, "created_at": now}
    new = insert(Organization).values(row).on_conflict_do_nothing().returning(Organization.id)
    return session.scalar(new) is not None


def search_for_organization(gateway: Gateway, organization_id: str) -> None:
    """Run the job that looks for an organization's customer at Stripe, and adopt the one that it finds.

    Raise StripeUnavailable, and the worker then retries the job.
    """
    with gateway.database.reading() as session:
        linked = session.get_one(Organization, organization_id).stripe_customer_id
    with calling_as(Priority.REFRESH):
        if linked is None and (found := search_customer(gateway, organization_id)) is not None:
            adopt_customer(gateway, found)


def search_customer(gateway: Gateway, organization_id: str) -> str | None:
    """Return the id of the customer at Stripe that names the organization, or None.

    If there are several, return one that is subscribed to a plan, and the oldest of those. Log the others.
    They are duplicates, which each reconciliation reports. Stripe's search shows a new customer after
    about a minute. https://docs.stripe.com/search
    """
    value = organization_id.replace("\\", "\\\\").replace("'", "\\'")
    with stripe_call():
        page = gateway.stripe.v1.customers.search(
            {"query": f"metadata['{ORGANIZATION_ID_KEY}']:'{value}'", "limit": 100}
        )
    found = sorted((each for each in page.data if names(each, organization_id)), key=lambda each: each.created)
    found = [each for each in found if not is_anothers(gateway, organization_id, each.id)]
    if len(found) > 1:
        subscribed = [each for each in found[:MAX_COMPARED] if is_subscribed(gateway, each.id)]
        found = sorted(found, key=lambda each: each not in subscribed)
        others = [each.id for each in found[1:]]
        log.error("duplicate_customer", organization_id=organization_id, chosen=found[0].id, others=others)
    return found[0].id if found else None


def names(customer: StripeCustomer, organization_id: str) -> bool:
    """Return whether the customer's metadata name exactly this organization."""
    return bool(customer.metadata and customer.metadata.to_dict().get(ORGANIZATION_ID_KEY) == organization_id)


def is_anothers(gateway: Gateway, organization_id: str, customer_id: str) -> bool:
    """Return whether the customer belongs to another organization. Renaming it at Stripe moves nothing."""
    owner = select(Organization.id).where(Organization.stripe_customer_id == customer_id)
    with gateway.database.reading() as session:
        return session.scalar(owner) not in (None, organization_id)


def is_subscribed(gateway: Gateway, customer_id: str) -> bool:
    """Return whether the customer has a running subscription with an item of a plan's product."""
    found = list_subscriptions(gateway, customer_id)
    with gateway.database.reading() as session:
        plans = load_plans(session)
    running = (each for each in found if each.status not in ENDED)
    return any(item.product_id in plans.of_product for each in running for item in each.items)


def adopt_customer(gateway: Gateway, customer_id: str) -> None:
    """Link a customer to the organization that its metadata name, and merge its subscriptions.

    The merge leaves an organization alone that has a customer already. It queues ``fill_mirror`` for the rest.
    """
    refresh(gateway, CustomerSnapshot.kind, customer_id)
    merge_snapshots(gateway, *list_subscriptions(gateway, customer_id))


def list_subscriptions(gateway: Gateway, customer_id: str) -> list[SubscriptionSnapshot]:
    """Return the customer's newest hundred subscriptions at Stripe, including ended ones."""
    with stripe_call():
        page = gateway.stripe.v1.subscriptions.list({"customer": customer_id, "status": "all", "limit": 100})
    return SubscriptionSnapshot.from_list(page, cause=ADOPTED)


def fill_mirror(gateway: Gateway, customer_id: str) -> None:
    """Run the job that merges what an adopted customer has: subscriptions, payment methods and the last invoices.

    Raise StripeUnavailable, and the worker then retries the job.
    """
    with calling_as(Priority.REFRESH):
        customer = retrieve(gateway, CustomerSnapshot.kind, customer_id)
        if customer is None:
            return
        merge_snapshots(gateway, customer)
        if isinstance(customer, CustomerSnapshot) and customer.deleted:
            return
        subscriptions = list_subscriptions(gateway, customer_id)
        with stripe_call():
            methods = gateway.stripe.v1.customers.payment_methods.list(customer_id, {"limit": 100})
        with stripe_call():
            invoices = gateway.stripe.v1.invoices.list({"customer": customer_id, "limit": 100})
    merge_snapshots(
        gateway,
        *PaymentMethodSnapshot.from_list(methods, cause=ADOPTED),
        *subscriptions,
        *InvoiceSnapshot.from_list(invoices, cause=ADOPTED),
    )
