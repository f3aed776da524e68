"""Erase the personal data of an organization, and keep the records of its money and plans without names."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import structlog
from sqlalchemy import Delete, Update, delete, func, select, text, update
from sqlalchemy.orm import Session

from gateway.db.models import (
    IS_OPEN,
    IS_UNPAID,
    BillingIntent,
    Grant,
    IdempotencyKey,
    Invoice,
    Notification,
    Organization,
    OrganizationPlan,
    PaymentMethod,
    PlanChange,
    PlanHistory,
    SalesInquiry,
    WebhookEvent,
)
from gateway.errors import Conflict, NotFound
from gateway.services.operations.export import find_owner, is_about, list_tables
from gateway.services.operations.retention import IS_FINISHED
from gateway.services.plan_table.attribution import USAGE, USER
from gateway.services.runtime import Gateway

ERASED = "erased"
"""What an erasure puts in the place of a name. Triggers on the history and the grants allow this word alone."""
REMOVED = (IdempotencyKey, Notification, SalesInquiry)
"""The tables whose rows hold names or messages, and record no money."""
# A call's frozen parameters repeat why the organization cancelled, in its own words.
WITHOUT_WORDS = text("""
    COALESCE((
        SELECT jsonb_object_agg(key, CASE jsonb_typeof(value) WHEN 'object' THEN value - 'cancellation_details'
                                                              ELSE value END)
        FROM jsonb_each(steps)
    ), '{}')
""")

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Erasure:
    """What is left of an erased organization."""

    kept: Mapping[str, int]
    """The number of rows in each table that still has any."""
    customer_id: str | None
    """The deleted customer, whose invoices and payments Stripe still holds. None if there never was one."""


def erase_organization(gateway: Gateway, organization_id: str) -> Erasure:
    """Erase all personal data about an organization. A repeated call erases what has come since.

    Raise NotFound, or Conflict with all reasons that speak against it. While Stripe has the customer, its next event
    would bring the name and the cards back.
    """
    with gateway.database.transaction() as session:
        organization = session.get(Organization, organization_id, with_for_update=True)
        if organization is None:
            raise NotFound(f"There is no organization {organization_id}.")
        if reasons := list(find_reasons(session, gateway, organization)):
            raise Conflict(f"{organization_id} cannot be erased yet.\n" + "\n".join(f"  {each}" for each in reasons))
        for statement in build_statements(organization_id):
            session.execute(statement)
        kept = count_rows(session, organization_id)
        of_organization = PaymentMethod.organization_id == organization_id
        objects = [
            organization.stripe_customer_id or "",
            *session.scalars(select(PaymentMethod.id).where(of_organization)),
        ]
    # This reads all payloads, so it holds no lock. A merge of this and other organizations would wait for the lock.
    about = is_about(objects, organization.stripe_customer_id)
    is_stored = WebhookEvent.payload.is_not(None)
    gateway.database.execute(update(WebhookEvent).where(is_stored, IS_FINISHED, about).values(payload=None))
    log.info("organization_erased", organization_id=organization_id)
    return Erasure(kept=kept, customer_id=organization.stripe_customer_id)


def find_reasons(session: Session, gateway: Gateway, organization: Organization) -> Iterator[str]:
    """Yield what must be done before the organization can be erased."""
    catalog, customer_id = gateway.catalog, organization.stripe_customer_id
    plan = session.get(OrganizationPlan, organization.id)
    if plan is not None and plan.requested_plan != catalog.floor.key:
        yield f"It is on {catalog.name_of(plan.requested_plan)}. Cancel the plan, so that the unused time is credited."
    running = select(Grant.id).where(Grant.organization_id == organization.id, Grant.ended_at.is_(None))
    if session.scalar(running) is not None:
        yield "A grant runs. End it with `gateway grants end`."
    changes = session.scalars(select(PlanChange.id).where(PlanChange.organization_id == organization.id, IS_OPEN)).all()
    if changes or session.get(BillingIntent, organization.id) is not None:
        yield f"An operation is in flight ({', '.join(changes) or 'on payment methods or invoices'}). Wait for its end."
    if debts := session.scalars(select(Invoice.id).where(Invoice.organization_id == organization.id, IS_UNPAID)).all():
        yield f"It owes {', '.join(debts)}. Void the invoices at Stripe, or wait for their payment."
    if customer_id is not None and not organization.deleted:
        yield f"Stripe has the customer {customer_id}. Delete it at Stripe, or its next event brings the name back."
    waiting = WebhookEvent.state.in_(("pending", "failed", "dead"))
    if events := session.scalars(select(WebhookEvent.id).where(waiting, is_about([], customer_id))).all():
        yield f"Events wait ({', '.join(events)}). Start a worker, and replay those that are dead."
    due = (Notification.organization_id == organization.id, Notification.next_attempt_at.is_not(None))
    if number := session.scalar(select(func.count()).where(*due)):
        yield f"{number} notifications wait for their receivers. `gateway notifications list` shows them."


def build_statements(organization_id: str) -> Iterator[Update | Delete]:
    """Yield the statements that erase names, addresses, cards, messages and user ids."""
    yield update(Organization).where(Organization.id == organization_id).values(name=None, email=None, country=None)
    # A card of a deleted customer is detached. If the row said otherwise, reconciliation would bring the card back.
    no_card = {"label": "", "brand": None, "last4": None, "exp_month": None, "exp_year": None, "detached": True}
    yield update(PaymentMethod).where(PaymentMethod.organization_id == organization_id).values(no_card)
    no_links = {"hosted_invoice_url": None, "invoice_pdf": None}  # both lead to the name at Stripe
    yield update(Invoice).where(Invoice.organization_id == organization_id).values(no_links)
    of_change, of_entry = PlanChange.organization_id == organization_id, PlanHistory.organization_id == organization_id
    yield update(PlanChange).where(of_change).values(cancellation=None, steps=WITHOUT_WORDS)
    yield update(PlanChange).where(of_change, PlanChange.actor != USAGE).values(actor=ERASED)
    of_user = (PlanHistory.actor_type == USER, PlanHistory.actor.not_in((ERASED, USAGE)))
    yield update(PlanHistory).where(of_entry, *of_user).values(actor=ERASED)
    is_written = (Grant.organization_id == organization_id, Grant.reason != ERASED)
    yield update(Grant).where(*is_written).values(reason=ERASED)
    yield from (delete(each).where(each.organization_id == organization_id) for each in REMOVED)


def count_rows(session: Session, organization_id: str) -> dict[str, int]:
    """Return the number of the organization's rows in each table that has any."""
    counts = {
        each.name: session.scalar(select(func.count()).where(find_owner(each) == organization_id)) or 0
        for each in list_tables()
    }
    return {name: number for name, number in counts.items() if number}
