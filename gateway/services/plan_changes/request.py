"""Plan changes. Intent first, then Stripe, then the merge; killed at any line, a change is finished or given up.

1. Transaction: the policy is checked and the change is written, together with the job that will finish it and with
   the parameters of its call to Stripe.
2. The call, with no transaction open; then a transaction that merges the answer. The merge closes the change when
   Stripe has carried it out. Where it takes another call (``change_run``), a transaction freezes that one's parameters.
"""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import bindparam, or_, select, update
from sqlalchemy.orm import Session

from gateway.catalog import CatalogPlan
from gateway.db import bulk, jobs
from gateway.db.models import IS_OPEN, OPEN_STATES, Organization, OrganizationPlan, PlanChange
from gateway.errors import (
    ChangeInProgress,
    CustomerMissing,
    DatabaseUnavailable,
    NotEnrolled,
    PaymentMethodRequired,
    PreconditionFailed,
    RateLimited,
    StripeUnavailable,
    of_code,
)
from gateway.failpoints import Failpoint, failpoint
from gateway.services import idempotency
from gateway.services.customers import payment_methods
from gateway.services.customers.customer import ensure_customer, lock_organization
from gateway.services.customers.deletion import refuse_deleted_customer
from gateway.services.plan_changes.execute import run
from gateway.services.plan_changes.stripe_calls import Step, freeze
from gateway.services.plan_changes.view import ChangeView, get_change, location_of
from gateway.services.plan_table.derive import FREE
from gateway.services.quotes.token import Terms, read_token, refuse_foreign_token
from gateway.services.runtime import Caller, Gateway
from gateway.services.subscription import policy
from gateway.services.subscription.billing_state import Position, charge_for, position_of
from gateway.services.subscription.policy import Transition
from gateway.stripe_api.times import from_unix
from schemas.subscription import ChangeCommand

FINISH_AFTER = timedelta(seconds=20)  # by then the request has usually ended; if not, the keys make the two do it once
# Going up and down in turn leaves a credit each time, and Stripe makes no more than so many invoices of a subscription.
CHANGES_AT_MOST, CHANGES_WITHIN = 20, timedelta(hours=1)

LATEST = (
    select(PlanChange.id, PlanChange.state, PlanChange.created_at)
    .where(
        PlanChange.organization_id == bindparam("organization_id"),
        or_(IS_OPEN, PlanChange.created_at > bindparam("since")),
    )
    .order_by(IS_OPEN.desc(), PlanChange.created_at.desc())
    .limit(CHANGES_AT_MOST)
)

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Admitted:
    """A change that may be made."""

    source: str
    """The plan that it moves away from."""
    target: CatalogPlan
    quantity: int
    transition: Transition
    position: Position


def change(gateway: Gateway, caller: Caller, command: ChangeCommand) -> ChangeView:
    """Move the organization to a plan and quantity, enrolling it first if need be.

    Gives the change: ``applied``; ``requires_action`` if the customer has to approve the payment; or ``processing`` if
    it is not known yet what Stripe did: then it ends within a minute. Raises what ``admit`` raises (no change is
    written then), CardDeclined and StripeRejected (the change has ``failed``), DatabaseUnavailable (with the change's
    Location if it was written).
    """
    first = None
    if (change_id := idempotency.change_of(gateway, caller)) is None:
        first = ask(gateway, caller, command)
        change_id = first.change_id
    try:
        carry_out(gateway, change_id, first)
        view = get_change(gateway, caller, change_id)
        if view.state == "requested":
            note_asked(gateway, change_id)
            view = get_change(gateway, caller, change_id)
    except DatabaseUnavailable as error:  # done or not, and the change cannot even be read: say where it will be
        raise DatabaseUnavailable(error.detail, headers=location_of(change_id), change_id=change_id) from error
    if view.state == "failed" and view.error is not None:
        raise of_code(view.error["code"])(view.error["detail"], headers=location_of(change_id), change_id=change_id)
    return view


def carry_out(gateway: Gateway, change_id: str, first: Step | None) -> None:
    """``run``, as far as Stripe answers: beyond that nobody knows, and the job asks Stripe and decides."""
    try:
        run(gateway, change_id, first)
    except StripeUnavailable:
        log.warning("change_outcome_unknown", change_id=change_id, exc_info=True)


def ask(gateway: Gateway, caller: Caller, command: ChangeCommand) -> Step:
    """Check that the change may be made, and write the intent to make it; gives its first call.

    A card that is not known here is asked for at Stripe. Raises as ``change`` does.
    """
    terms = None
    if command.quote is not None:
        refuse_foreign_token(gateway.config, caller, command.quote)
        terms = read_token(gateway.config, command.quote, gateway.clock())
    if command.enroll or command.payment_method is not None:
        # Before anything is done at Stripe. By itself, not in a transaction that a missing customer then rolls back: a
        # rollback costs its connection all prepared statements (psycopg discards them).
        with gateway.database.transaction() as session:
            admit(session, gateway, caller, command, terms)
        ensure_customer(gateway, caller)
    if command.payment_method is not None:
        payment_methods.set_default(gateway, caller, command.payment_method)
    try:
        return write_intent(gateway, caller, command, terms, card=None)
    except PaymentMethodRequired:
        card = payment_methods.has_usable_default_card(gateway, caller)
        return write_intent(gateway, caller, command, terms, card=card)


def admit(session: Session, gateway: Gateway, caller: Caller, command: ChangeCommand, terms: Terms | None) -> Admitted:
    """What is wanted, if it may be; a card is not asked for.

    Raises PreconditionFailed, ChangeInProgress, RateLimited, NotEnrolled, UnpaidInvoice, CatalogNotSynced, and what
    ``policy.check`` and ``Terms.check`` raise.
    """
    refuse_unexpected(session, caller, command)
    refuse_another(session, caller, gateway.clock())
    refuse_deleted_customer(session.get(Organization, caller.organization_id))
    position = position_of(session, caller.organization_id)
    plan = command.plan or (terms.plan if terms is not None else None)
    target = policy.target_of(gateway.catalog, position.state, plan)
    quantity = command.quantity or (terms.quantity if terms is not None else position.quantity_on(target.key))
    transition = policy.check(position.state, target, quantity)
    if not position.is_enrolled and not command.enroll:
        raise NotEnrolled("Enrol the organization first: POST /v1/subscription.")
    if policy.Need.PAID_UP in transition.needs:
        policy.check_needs(transition, paid_up=not position.owes)
    price = position.price_of(target)
    if position.subscription is None:  # what an enrolment starts on: better missed now than half-way
        position.price_of(gateway.catalog.get(FREE))
    if terms is not None:
        terms.check(caller, position, price, target.key, quantity)
    return Admitted(
        source=position.state.requested_plan,
        target=target,
        quantity=quantity,
        transition=transition,
        position=position,
    )


def refuse_unexpected(session: Session, caller: Caller, command: ChangeCommand) -> None:
    """Raises PreconditionFailed if the caller saw another version than the present one."""
    if command.if_match is None:
        return
    row = session.get(OrganizationPlan, caller.organization_id, populate_existing=True)
    version = row.version if row is not None else 0
    if version not in command.if_match:
        raise PreconditionFailed(f"The plan is at version {version} by now.", version=version)


def refuse_another(session: Session, caller: Caller, now: datetime) -> None:
    """Raises ChangeInProgress while a change has not ended.

    Raises RateLimited after too many, with the seconds until the oldest of them no longer counts.
    """
    latest = session.execute(LATEST, {"organization_id": caller.organization_id, "since": now - CHANGES_WITHIN}).all()
    if latest and latest[0].state in OPEN_STATES:
        raise ChangeInProgress(
            "Another change has not ended yet.", headers=location_of(latest[0].id), change_id=latest[0].id
        )
    if len(latest) == CHANGES_AT_MOST:
        wait = latest[-1].created_at + CHANGES_WITHIN - now
        raise RateLimited(
            f"At most {CHANGES_AT_MOST} changes an hour.", headers={"Retry-After": str(int(wait.total_seconds()) + 1)}
        )


def write_intent(
    gateway: Gateway, caller: Caller, command: ChangeCommand, terms: Terms | None, *, card: bool | None
) -> Step:
    """Check that the change may be made; write it, its first call, and the job that will finish it. Gives the call.

    ``card``: whether one is on file; None if nobody has asked Stripe: then it is as it is known here. Raises what
    ``admit`` raises, CustomerMissing, and PaymentMethodRequired. The checks are made under the organization's lock;
    should they ever fail to hold two requests apart, the unique index on changes in flight does.
    """
    now = gateway.clock()
    with gateway.database.transaction() as session:
        organization = lock_organization(session, caller, now)
        admitted = admit(session, gateway, caller, command, terms)
        if organization.stripe_customer_id is None:
            raise CustomerMissing("The organization has no customer at Stripe yet.")
        if policy.Need.CARD in admitted.transition.needs:
            known = payment_methods.is_usable(admitted.position.card, now) if card is None else card
            policy.check_needs(admitted.transition, card=known)
        charge = charge_for(gateway.catalog, admitted.source, admitted.target)
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
            quoted_due_now=terms.amount_due_now if terms is not None and charge == "now" else None,
            steps={},
            created_at=now,
        )
        first = freeze(session, gateway.catalog, intent, admitted.position)
        session.add(intent)
        bulk.flush(session, PlanChange)
        idempotency.link(session, caller, intent.id)
        jobs.defer(session, jobs.FINISH_CHANGE, {"change_id": intent.id}, lock=intent.id, at=now + FINISH_AFTER)
    failpoint(Failpoint.INTENT_WRITTEN)
    return first


def note_asked(gateway: Gateway, change_id: str) -> None:
    """Say of a change that Stripe was asked for it, and that nobody knows what became of it."""
    unanswered = update(PlanChange).where(PlanChange.id == change_id, PlanChange.state == "requested")
    with gateway.database.transaction() as session:
        session.execute(unanswered.values(state="processing"))
