"""Reserve an organization's billing for one operation, in the transaction that checks it.

Plan changes and billing intents exclude each other. Both lock the organization's row before they check, so the second
one sees the first. An operation waits for an intent in flight, because an intent takes one call to Stripe. It does not
wait for a plan change, because a change may take until its customer approves the payment.
"""

import time
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeVar

from sqlalchemy import bindparam, delete, select
from sqlalchemy.orm import Session

from gateway.catalog import Catalog
from gateway.db import jobs
from gateway.db.models import IS_OPEN, BillingIntent, Organization, OrganizationPlan, PlanChange
from gateway.errors import ChangeInProgress, ContactSalesRequired
from gateway.failpoints import Failpoint, failpoint
from gateway.services.mirror.charged_method import find_charged_method
from gateway.services.plan_table.attribution import USAGE
from gateway.services.runtime import Gateway
from gateway.stripe_api.idempotency_keys import KEY_LIFETIME

T = TypeVar("T")

LONGEST_WAIT = 5.0  # seconds that an operation waits for another one
FIRST_PAUSE, LONGEST_PAUSE = 0.02, 0.25  # seconds between two tries. It grows, so that waiting causes little load.
# Delay of the completion job. The request has usually ended before. If not, both use the same idempotency key, so
# Stripe carries out the operation once.
FINISH_AFTER = timedelta(seconds=20)

INTENT_ID = select(BillingIntent.id).where(BillingIntent.organization_id == bindparam("organization_id"))


class Kind(StrEnum):
    """What an intent does at Stripe."""

    SET_DEFAULT_PAYMENT_METHOD = "set_default_payment_method"
    DELETE_PAYMENT_METHOD = "delete_payment_method"
    PAY_INVOICE = "pay_invoice"
    ABANDON_CHANGE = "abandon_change"
    MOVE_PRICES = "move_prices"
    RETURN_TO_FLOOR = "return_to_floor"
    EXTEND_TRIAL = "extend_trial"


class OperationInFlight(Exception):
    """A billing intent of the organization is in flight. ``wait_for_turn`` waits for its end."""


def wait_for_turn(gateway: Gateway, attempt: Callable[[], T]) -> T:
    """Return what ``attempt`` returns. Repeat it while it raises OperationInFlight, for ``LONGEST_WAIT`` seconds.

    Each attempt uses a transaction of its own, so the wait holds none. It holds no place at the gate to Stripe either,
    so that waiting requests of one organization do not keep the others out. Raise ChangeInProgress in the end.
    """
    deadline = time.monotonic() + LONGEST_WAIT
    pause = FIRST_PAUSE
    while True:
        try:
            return attempt()
        except OperationInFlight as error:
            if time.monotonic() > deadline:
                detail = "Another operation on the organization's billing has not ended yet."
                raise ChangeInProgress(detail) from error
        gateway.gate.yield_place()
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


def reserve(
    gateway: Gateway, organization_id: str, kind: Kind, object_id: str, check: Callable[[Session], bool]
) -> BillingIntent | None:
    """Commit the intent and its completion job. Return the intent, or None if nothing is left to do.

    ``check`` reads the mirror in the same transaction. It raises if the operation must not be done, and returns whether
    it is still needed. Raise ChangeInProgress, with its Location for a plan change. Raise StripeNotCalled if the gate
    refuses calls to Stripe, because an intent that cannot be sent would block the organization.
    Raise ContactSalesRequired if sales manages the plan.
    """
    intent = wait_for_turn(gateway, lambda: try_to_reserve(gateway, organization_id, kind, object_id, check))
    if intent is not None:
        failpoint(Failpoint.BILLING_INTENT_RESERVED)
    return intent


def try_to_reserve(
    gateway: Gateway, organization_id: str, kind: Kind, object_id: str, check: Callable[[Session], bool]
) -> BillingIntent | None:
    """Do what ``reserve`` does without waiting. Raise OperationInFlight."""
    refusal = gateway.gate.reserve()
    now = gateway.clock()
    with gateway.database.transaction() as session:
        session.execute(select(Organization.id).where(Organization.id == organization_id).with_for_update())
        if session.scalar(INTENT_ID, {"organization_id": organization_id}) is not None:
            raise OperationInFlight
        if kind not in (Kind.ABANDON_CHANGE, Kind.MOVE_PRICES, Kind.EXTEND_TRIAL):
            refuse_sales_plan(session, gateway.catalog, organization_id)
        refuse_change_in_flight(session, organization_id, kind, object_id)
        if not check(session):
            return None
        if refusal is not None:
            raise refusal
        charged = find_charged_method(session, organization_id) if kind is Kind.PAY_INVOICE else None
        intent = BillingIntent(
            organization_id=organization_id,
            id=f"intent_{uuid.uuid4().hex}",
            kind=kind.value,
            object_id=object_id,
            payment_method_id=charged.id if charged is not None else None,
            created_at=now,
        )
        session.add(intent)
        jobs.defer(session, jobs.FINISH_INTENT, {"intent_id": intent.id}, lock=intent.id, at=now + FINISH_AFTER)
    return intent


def refuse_sales_plan(session: Session, catalog: Catalog, organization_id: str) -> None:
    """Raise ContactSalesRequired if the organization is on a plan whose billing the sales team manages."""
    requested = select(OrganizationPlan.requested_plan).where(OrganizationPlan.organization_id == organization_id)
    plan = session.scalar(requested)
    if plan is not None and catalog.is_managed_by_sales(plan):
        text = f"Our sales team manages the payment methods and invoices of {catalog.name_of(plan)}."
        raise ContactSalesRequired(text)


def refuse_change_in_flight(session: Session, organization_id: str, kind: Kind, object_id: str) -> None:
    """Raise ChangeInProgress if the organization has a plan change in flight.

    A change that waits for its payment may be abandoned, and its own invoice may be paid.
    """
    query = select(PlanChange).where(PlanChange.organization_id == organization_id, IS_OPEN)
    change = session.scalars(query).one_or_none()
    if change is None:
        return
    if is_of_usage(change.actor, change.state):
        raise OperationInFlight
    ends_the_wait = (kind, object_id) in {
        (Kind.ABANDON_CHANGE, change.id),
        (Kind.PAY_INVOICE, change.pending_invoice_id),
    }
    if change.state != "requires_action" or not ends_the_wait:
        raise change_in_progress(change.id)


def is_of_usage(actor: str | None, state: str | None) -> bool:
    """Return whether a change only makes the quantity follow a level. It takes one call to Stripe, so users wait."""
    return actor == USAGE and state in ("requested", "processing")


def change_in_progress(change_id: str) -> ChangeInProgress:
    """Return the error that names the plan change in flight."""
    return ChangeInProgress("Another change has not ended yet.", headers=locate_change(change_id), change_id=change_id)


def locate_change(change_id: str) -> dict[str, str]:
    """Return the Location header of a change."""
    return {"Location": f"/v1/subscription/changes/{change_id}"}


def release(session: Session, intent: BillingIntent) -> None:
    """Delete the intent, in the transaction that merges Stripe's answer. Another process may have deleted it."""
    session.execute(delete(BillingIntent).where(BillingIntent.id == intent.id))


def is_too_old(intent: BillingIntent, now: datetime) -> bool:
    """Return whether Stripe may have forgotten the intent's key. A repeated call could then act a second time."""
    return now > intent.created_at + KEY_LIFETIME
