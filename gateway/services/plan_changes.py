"""Plan changes. Intent first, then Stripe, then the merge; killed at any line, a change is finished or given up.

1. Transaction: the policy is checked and the change is written, together with the job that will finish it.
2. For each call that it takes (``change_run``): transaction that freezes the call's parameters; the call, with no
   transaction open; transaction that merges the answer. The merge closes the change when Stripe has carried it out.
"""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from gateway.crash_points import CrashPoint, reached
from gateway.db import jobs
from gateway.db.models import Invoice, Organization, OrganizationPlan, PlanChange
from gateway.errors import (
    ChangeInProgress,
    DatabaseUnavailable,
    NotEnrolled,
    PaymentMethodRequired,
    PreconditionFailed,
    RateLimited,
    StripeUnavailable,
    of_code,
)
from gateway.services import idempotency, payment_methods, policy
from gateway.services.catalog import CatalogPlan, price_of
from gateway.services.change_run import run
from gateway.services.change_views import ChangeView, get_change, location_of
from gateway.services.context import Caller, Gateway
from gateway.services.organizations import ensure_customer, find_customer, lock_organization, refuse_closed
from gateway.services.plan_table import FREE
from gateway.services.policy import Transition
from gateway.services.positions import open_change, position_of
from gateway.services.quote_tokens import Terms, read_token
from gateway.stripe_api.times import from_unix
from schemas.subscription import ChangeCommand

FINISH_AFTER = timedelta(seconds=20)  # by then the request has usually ended; if not, the keys make the two do it once
# Going up and down in turn leaves a credit each time, and Stripe makes no more than so many invoices of a subscription.
CHANGES_AT_MOST, CHANGES_WITHIN = 20, timedelta(hours=1)

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Admitted:
    """A change that may be made."""

    source: str
    """The plan that it moves away from."""
    target: CatalogPlan
    quantity: int
    transition: Transition


def change(gateway: Gateway, caller: Caller, command: ChangeCommand) -> ChangeView:
    """Move the organization to a plan and quantity, enrolling it first if need be.

    Gives the change: ``applied``; ``requires_action`` if the customer has to approve the payment; or ``processing`` if
    Stripe did not answer in time: then it ends within a minute. Raises what ``admit`` raises (no change is written
    then), CardDeclined and StripeRejected (the change has ``failed``), DatabaseUnavailable (with the change's Location
    if it was written).
    """
    change_id = idempotency.change_of(gateway, caller) or ask(gateway, caller, command)
    try:
        run(gateway, change_id)
    except StripeUnavailable:
        # Done or not, nobody knows: the job asks Stripe and decides. The caller is told that it is processing.
        log.warning("change_outcome_unknown", change_id=change_id, exc_info=True)
    except DatabaseUnavailable as error:  # the same, and the change cannot even be read: say where it will be
        raise DatabaseUnavailable(error.detail, headers=location_of(change_id), change_id=change_id) from error
    view = get_change(gateway, caller, change_id)
    if view.state == "failed" and view.error is not None:
        raise of_code(view.error["code"])(view.error["detail"], headers=location_of(change_id), change_id=change_id)
    return view


def ask(gateway: Gateway, caller: Caller, command: ChangeCommand) -> str:
    """Check that the change may be made, and write the intent to make it; gives its id. Raises as ``change`` does."""
    terms = read_token(gateway.config, command.quote, gateway.clock()) if command.quote is not None else None
    if command.payment_method is not None or find_customer(gateway, caller) is None:
        with gateway.database.transaction() as session:  # before anything is done at Stripe
            admit(session, gateway, caller, command, terms)
        ensure_customer(gateway, caller)
        if command.payment_method is not None:
            payment_methods.set_default(gateway, caller, command.payment_method)
    try:
        return write_intent(gateway, caller, command, terms, card=None)
    except PaymentMethodRequired:  # as far as is known here
        card = payment_methods.is_on_file(gateway, caller)
    return write_intent(gateway, caller, command, terms, card=card)


def admit(session: Session, gateway: Gateway, caller: Caller, command: ChangeCommand, terms: Terms | None) -> Admitted:
    """What is wanted, if it may be; a card is not asked for.

    Raises PreconditionFailed, ChangeInProgress, RateLimited, NotEnrolled, UnpaidInvoice, CatalogNotSynced, and what
    ``policy.check`` and ``Terms.check`` raise.
    """
    refuse_unexpected(session, caller, command)
    refuse_second(session, caller)
    refuse_too_many(session, caller, gateway.clock())
    refuse_closed(session.get(Organization, caller.organization_id))
    position = position_of(session, caller.organization_id)
    plan = command.plan or (terms.plan if terms is not None else position.state.requested_plan)
    quantity = command.quantity or (terms.quantity if terms is not None else position.quantity_on(plan))
    target = gateway.catalog.get(plan)
    transition = policy.check(position.state, target, quantity)
    if not position.is_enrolled and not command.enroll:
        raise NotEnrolled("Enrol the organization first: POST /v1/subscription.")
    if policy.Need.PAID_UP in transition.needs:
        policy.check_needs(transition, paid_up=is_paid_up(session, caller))
    price = price_of(session, target)
    if position.subscription is None:  # what an enrolment starts on: better missed now than half-way
        price_of(session, gateway.catalog.get(FREE))
    if terms is not None:
        terms.check(caller, position, price.id, plan, quantity)
    return Admitted(source=position.state.requested_plan, target=target, quantity=quantity, transition=transition)


def refuse_unexpected(session: Session, caller: Caller, command: ChangeCommand) -> None:
    """Raises PreconditionFailed if the caller saw another version than the present one."""
    if command.if_match is None:
        return
    row = session.get(OrganizationPlan, caller.organization_id, populate_existing=True)
    version = row.version if row is not None else 0
    if version not in command.if_match:
        raise PreconditionFailed(f"The plan is at version {version} by now.", version=version)


def refuse_second(session: Session, caller: Caller) -> None:
    """Raises ChangeInProgress while another change has not ended."""
    if (running := open_change(session, caller.organization_id)) is not None:
        raise ChangeInProgress(
            "Another change has not ended yet.", headers=location_of(running.id), change_id=running.id
        )


def refuse_too_many(session: Session, caller: Caller, now: datetime) -> None:
    """Raises RateLimited, with the seconds until the oldest change no longer counts."""
    recent = select(PlanChange.created_at).where(
        PlanChange.organization_id == caller.organization_id, PlanChange.created_at > now - CHANGES_WITHIN
    )
    latest = session.scalars(recent.order_by(PlanChange.created_at.desc()).limit(CHANGES_AT_MOST)).all()
    if len(latest) == CHANGES_AT_MOST:
        wait = latest[-1] + CHANGES_WITHIN - now
        raise RateLimited(
            f"At most {CHANGES_AT_MOST} changes an hour.", headers={"Retry-After": str(int(wait.total_seconds()) + 1)}
        )


def is_paid_up(session: Session, caller: Caller) -> bool:
    """Whether no invoice waits for money of the organization's."""
    unpaid = select(func.count()).where(
        Invoice.organization_id == caller.organization_id, Invoice.status == "open", Invoice.amount_remaining > 0
    )
    return session.scalar(unpaid) == 0


def write_intent(
    gateway: Gateway, caller: Caller, command: ChangeCommand, terms: Terms | None, *, card: bool | None = True
) -> str:
    """Check that the change may be made, and write it and the job that will finish it.

    ``card``: whether one is on file; None if nobody has asked Stripe: then it is as it is known here. Raises what
    ``admit`` raises, and PaymentMethodRequired. The checks are made under the organization's lock; should they ever
    fail to hold two requests apart, the unique index on changes in flight does.
    """
    now = gateway.clock()
    with gateway.database.transaction() as session:
        organization = lock_organization(session, caller, now)
        admitted = admit(session, gateway, caller, command, terms)
        if policy.Need.CARD in admitted.transition.needs:
            known = payment_methods.is_known(session, organization, now) if card is None else card
            policy.check_needs(admitted.transition, card=known)
        intent = PlanChange(
            id=f"chg_{uuid.uuid4().hex}",
            organization_id=caller.organization_id,
            state="requested",
            actor=caller.actor,
            from_plan=admitted.source,
            to_plan=admitted.target.key,
            quantity=admitted.quantity,
            proration_date=from_unix(terms.proration_date) if terms is not None else None,
            quoted=terms.prorated if terms is not None else None,
            steps={},
            created_at=now,
        )
        session.add(intent)
        session.flush()
        idempotency.link(session, caller, intent.id)
        jobs.defer(session, jobs.FINISH_CHANGE, {"change_id": intent.id}, lock=intent.id, at=now + FINISH_AFTER)
    reached(CrashPoint.INTENT_WRITTEN)
    return intent.id
