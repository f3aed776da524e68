"""Plan changes. Intent first, then Stripe, then the merge; killed at any line, a change is finished or given up.

1. Transaction: the policy is checked and the change is written, together with the job that will finish it and with
   the parameters of its call to Stripe.
2. The call, with no transaction open; then a transaction that merges the answer. The merge closes the change when
   Stripe has carried it out. Where it takes another call (``change_run``), a transaction freezes that one's parameters.
"""

import uuid
from datetime import timedelta

import structlog
from sqlalchemy import update

from gateway.crash_points import CrashPoint, reached
from gateway.db import bulk, jobs
from gateway.db.models import PlanChange
from gateway.errors import (
    CustomerMissing,
    DatabaseUnavailable,
    PaymentMethodRequired,
    StripeUnavailable,
    of_code,
)
from gateway.services import idempotency
from gateway.services.customers import payment_methods
from gateway.services.customers.customer import ensure_customer, lock_organization
from gateway.services.plan_changes.admission import admit
from gateway.services.plan_changes.execute import run_change
from gateway.services.plan_changes.stripe_calls import Step, freeze
from gateway.services.plan_changes.view import ChangeView, get_change, locate_change
from gateway.services.quotes.token import Terms, read_token
from gateway.services.runtime import Caller, Gateway
from gateway.services.subscription import policy
from gateway.services.subscription.billing_state import choose_charge
from gateway.stripe_api.times import from_unix
from schemas.subscription import ChangeCommand

FINISH_AFTER = timedelta(seconds=20)  # by then the request has usually ended; if not, the keys make the two do it once

log = structlog.get_logger()


def change_plan(gateway: Gateway, caller: Caller, command: ChangeCommand) -> ChangeView:
    """Move the organization to a plan and quantity, enrolling it first if need be.

    Gives the change: ``applied``; ``requires_action`` if the customer has to approve the payment; or ``processing`` if
    it is not known yet what Stripe did: then it ends within a minute. Raises what ``admit`` raises (no change is
    written then), CardDeclined and StripeRejected (the change has ``failed``), DatabaseUnavailable (with the change's
    Location if it was written).
    """
    first = None
    if (change_id := idempotency.find_linked_change(gateway, caller)) is None:
        first = record_intent(gateway, caller, command)
        change_id = first.change_id
    try:
        run_or_leave_to_job(gateway, change_id, first)
        view = get_change(gateway, caller, change_id)
        if view.state == "requested":
            mark_processing(gateway, change_id)
            view = get_change(gateway, caller, change_id)
    except DatabaseUnavailable as error:  # done or not, and the change cannot even be read: say where it will be
        raise DatabaseUnavailable(error.detail, headers=locate_change(change_id), change_id=change_id) from error
    if view.state == "failed" and view.error is not None:
        raise of_code(view.error["code"])(view.error["detail"], headers=locate_change(change_id), change_id=change_id)
    return view


def run_or_leave_to_job(gateway: Gateway, change_id: str, first: Step | None) -> None:
    """``run_change``, as far as Stripe answers: beyond that nobody knows, and the job asks Stripe and decides."""
    try:
        run_change(gateway, change_id, first)
    except StripeUnavailable:
        log.warning("change_outcome_unknown", change_id=change_id, exc_info=True)


def record_intent(gateway: Gateway, caller: Caller, command: ChangeCommand) -> Step:
    """Check that the change may be made, and write the intent to make it; gives its first call.

    A card that is not known here is asked for at Stripe. Raises as ``change`` does.
    """
    terms = read_token(gateway.config, command.quote, gateway.clock()) if command.quote is not None else None
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
        card = payment_methods.is_on_file(gateway, caller)
        return write_intent(gateway, caller, command, terms, card=card)


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
            known = payment_methods.is_usable(admitted.billing.card, now) if card is None else card
            policy.check_needs(admitted.transition, card=known)
        charge = choose_charge(gateway.catalog, admitted.source, admitted.target)
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
        first = freeze(session, gateway.catalog, intent, admitted.billing)
        session.add(intent)
        bulk.flush(session, PlanChange)
        idempotency.link_change(session, caller, intent.id)
        jobs.defer(session, jobs.FINISH_CHANGE, {"change_id": intent.id}, lock=intent.id, at=now + FINISH_AFTER)
    reached(CrashPoint.INTENT_WRITTEN)
    return first


def mark_processing(gateway: Gateway, change_id: str) -> None:
    """Say of a change that Stripe was asked for it, and that nobody knows what became of it."""
    unanswered = update(PlanChange).where(PlanChange.id == change_id, PlanChange.state == "requested")
    with gateway.database.transaction() as session:
        session.execute(unanswered.values(state="processing"))
