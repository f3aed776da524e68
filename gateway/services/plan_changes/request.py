"""Requesting a plan change. The process may die at any line, and the change still ends.

1. ``write_intent`` checks the change in one transaction. The same transaction writes the change, the parameters of its
   first call to Stripe, and the completion job.
2. ``execute.run_change`` makes the call with no transaction open, and merges the answer in another transaction. If
   Stripe has carried the change out, the merge closes it (``plan_table/writer.close_changes``). If the change takes
   another call, a transaction freezes the parameters of that call first.
3. If Stripe does not answer or the process dies, a webhook closes the change, or the completion job does
   (``execute.finish_change``).
"""

import uuid
from contextlib import suppress
from datetime import timedelta

import structlog
from sqlalchemy import bindparam, exists, select
from structlog.contextvars import bind_contextvars

from gateway import telemetry
from gateway.db import bulk, jobs
from gateway.db.models import TRIAL_END, UNPAID, Organization, PlanChange, Trial
from gateway.db.prepared import Prepared
from gateway.error_codes import error_of_code
from gateway.errors import (
    CustomerMissing,
    DatabaseUnavailable,
    PaymentMethodRequired,
    PeriodOver,
    QuoteStale,
    StripeNotCalled,
    StripeUnavailable,
    UnpaidInvoice,
)
from gateway.failpoints import Failpoint, failpoint
from gateway.services import idempotency
from gateway.services.customers import default_method, payment_methods
from gateway.services.customers.customer import ensure_customer
from gateway.services.intents.reservation import FINISH_AFTER, locate_change, wait_for_turn
from gateway.services.mirror.refresh import merge_snapshots, retrieve
from gateway.services.plan_changes.admission import admit
from gateway.services.plan_changes.execute import run_change
from gateway.services.plan_changes.leaving import UNANSWERED, begin_change
from gateway.services.plan_changes.stripe_calls import Step, freeze
from gateway.services.plan_changes.view import ChangeView, get_change
from gateway.services.plan_table.attribution import CHANGE_ID_PREFIX, USAGE
from gateway.services.quotes.token import Terms, read_token, refuse_foreign_token
from gateway.services.rate_limits.card_testing import check_declines
from gateway.services.runtime import Caller, Gateway
from gateway.services.subscription import policy
from gateway.services.subscription.billing_state import load_billing_state
from gateway.services.subscription.levels import recheck_levels
from gateway.services.subscription.renewals import refresh_renewal
from gateway.services.subscription.settlement import choose_settlement
from gateway.stripe_api.snapshots import InvoiceSnapshot
from gateway.stripe_api.times import from_unix, to_unix
from schemas.changes import ChangeCommand

LOCK = Prepared(select(Organization.id).where(Organization.id == bindparam("organization_id")).with_for_update())

log = structlog.get_logger()


def change_plan(gateway: Gateway, caller: Caller, command: ChangeCommand) -> ChangeView:
    """Move the organization to a plan and quantity. Enrol it first if ``command.enroll`` is set.

    Return the change in one of three states. ``applied`` means that Stripe carried it out. ``requires_action`` means
    that the customer must approve the payment. ``processing`` means that Stripe's answer is unknown, or that the change
    waits for usage. The completion job (``execute.finish_change``) then ends the change within minutes.

    Resume the change that an earlier request with the same idempotency key began. Raise what ``record_intent`` raises,
    and no change is written then. Raise the recorded error, such as CardDeclined or StripeRejected, if the change has
    ``failed``. Raise DatabaseUnavailable, with the change's Location if the change was written.
    """
    first = None
    if (change_id := idempotency.find_linked_change(gateway, caller)) is None:
        first = record_intent(gateway, caller, command)
        change_id = first.change_id
    try:
        run_or_leave_to_job(gateway, change_id, first)
        view = get_change(gateway, caller, change_id)
        if view.state in UNANSWERED:
            begin_change(gateway, change_id)
            view = get_change(gateway, caller, change_id)
    except DatabaseUnavailable as error:
        # The outcome is unknown and the change cannot be read. The Location lets the caller look at it later.
        raise DatabaseUnavailable(error.detail, headers=locate_change(change_id), change_id=change_id) from error
    if view.state == "failed" and view.error is not None:
        raise error_of_code(view.error["code"])(
            view.error["detail"], headers=locate_change(change_id), change_id=change_id
        )
    return view


def run_or_leave_to_job(gateway: Gateway, change_id: str, first: Step | None) -> None:
    """Run the change. If Stripe does not answer, log it and leave the change to the completion job.

    The job (``execute.finish_change``) asks Stripe what became of the change.
    """
    try:
        run_change(gateway, change_id, first)
    except StripeNotCalled:
        log.warning("change_not_sent", change_id=change_id, exc_info=True)
    except StripeUnavailable:
        log.warning("change_outcome_unknown", change_id=change_id, exc_info=True)


def record_intent(gateway: Gateway, caller: Caller, command: ChangeCommand) -> Step:
    """Prepare the customer at Stripe, then write the intent. Return the change's first call.

    Webhooks can be late. So if an unpaid invoice stands in the way, or the mirror may lack a renewal, ask Stripe first.
    Raise what ``write_intent`` raises, and what creating the customer or setting its default payment method raises.
    """
    with suppress(PeriodOver):
        try:
            return prepare_and_write(gateway, caller, command)
        except UnpaidInvoice:
            refresh_unpaid_invoices(gateway, caller)
            return prepare_and_write(gateway, caller, command)
    refresh_renewal(gateway, caller.organization_id)
    return prepare_and_write(gateway, caller, command, is_refreshed=True)


def prepare_and_write(gateway: Gateway, caller: Caller, command: ChangeCommand, *, is_refreshed: bool = False) -> Step:
    """Do what ``record_intent`` does, and believe the mirror about unpaid invoices.

    Raise PeriodOver if the mirror may lack a renewal, unless it ``is_refreshed``.

    If the change needs a payment method and the mirror knows none, ask Stripe. Wait while a billing intent of the
    organization is in flight, because it may change what the checks depend on.
    """
    terms = None
    if command.quote is not None:
        refuse_foreign_token(gateway.config, caller, command.quote)
        terms = read_token(gateway.config, command.quote, gateway.clock())
    if command.enroll or command.payment_method is not None:
        was_enrolled = wait_for_turn(gateway, lambda: check_admission(gateway, caller, command, terms))
        ensure_customer(gateway, caller)
        if not was_enrolled:
            refuse_adopted_plan(gateway, caller)
    if command.payment_method is not None:
        default_method.set_default(gateway, caller, command.payment_method)

    def write_change(method_id: str | None) -> Step:
        refusal = gateway.gate.reserve()
        return write_intent(
            gateway, caller, command, terms, method_id=method_id, refusal=refusal, is_refreshed=is_refreshed
        )

    try:
        return wait_for_turn(gateway, lambda: write_change(None))
    except PaymentMethodRequired:
        method_id = default_method.find_chargeable(gateway, caller)
        return wait_for_turn(gateway, lambda: write_change(method_id))


def check_admission(gateway: Gateway, caller: Caller, command: ChangeCommand, terms: Terms | None) -> bool:
    """Return whether the organization is enrolled, before the request does anything at Stripe. Raise as ``admit``.

    The check runs in its own transaction, because a rollback for a missing customer would discard the connection's
    prepared statements (psycopg drops them).
    """
    with gateway.database.transaction() as session:
        return admit(session, gateway, caller, command, terms).billing.is_enrolled


def refuse_adopted_plan(gateway: Gateway, caller: Caller) -> None:
    """Raise QuoteStale if the organization turned out to have a plan that the gateway did not sell.

    The caller saw the floor plan, so an enrolment on it would cancel a plan that is paid for.
    """
    with gateway.database.reading() as session:
        plan = load_billing_state(session, caller.organization_id, gateway.catalog).plan_state.requested_plan
        sold = session.scalar(select(exists().where(PlanChange.organization_id == caller.organization_id)))
    if plan != gateway.catalog.floor.key and not sold:
        raise QuoteStale("The organization already has a plan at Stripe. Look at it and try again.")


def refresh_unpaid_invoices(gateway: Gateway, caller: Caller) -> None:
    """Merge the state of due invoices, until Stripe says that one is still unpaid. A single debt refuses the change.

    An account collects unpaid invoices over the years. Those of the current subscription come first, because some
    changes only wait for these.
    """
    with gateway.database.reading() as session:
        billing = load_billing_state(session, caller.organization_id, gateway.catalog)
    current = billing.plan_state.subscription_id
    for each in sorted(billing.due_invoices, key=lambda due: (due.subscription_id != current, due.id)):
        invoice = retrieve(gateway, InvoiceSnapshot.kind, each.id)
        if isinstance(invoice, InvoiceSnapshot):
            merge_snapshots(gateway, invoice)
            if invoice.status in UNPAID and invoice.amount_remaining > 0 and not invoice.payment_under_way:
                return


def write_intent(
    gateway: Gateway,
    caller: Caller,
    command: ChangeCommand,
    terms: Terms | None,
    *,
    method_id: str | None = None,
    refusal: StripeNotCalled | None = None,
    is_refreshed: bool = False,
) -> Step:
    """Write the change, its first call and its completion job in one transaction. Return the call.

    Raise ``refusal`` instead, if it is given and the change is admitted. A change that cannot be sent would block the
    organization until its completion job has ended it.

    The transaction locks the organization before it checks the change and its payment. If the checks still let two
    requests through, the unique index on changes in flight stops the second one. ``method_id`` is the payment method
    that Stripe has just named. It counts only while the mirror does not know that it was removed since. Raise what
    ``admit`` raises, PeriodOver as ``prepare_and_write`` does, OperationInFlight, CustomerMissing,
    PaymentMethodRequired, NoImmediateCharge, and RateLimited after too many declines.
    """
    now = gateway.clock()
    with gateway.database.transaction() as session:
        LOCK.read_in(session, {"organization_id": caller.organization_id})
        admitted = admit(session, gateway, caller, command, terms)
        if not is_refreshed and admitted.billing.lacks_renewal(gateway.catalog.floor.key, now):
            raise PeriodOver("Stripe may have begun another period.")
        if admitted.billing.customer_id is None:
            raise CustomerMissing("The organization has no customer at Stripe yet.")
        charge = choose_settlement(
            gateway.catalog, admitted.billing, admitted.source, admitted.target, admitted.quantity
        )
        # The units are in use already, and the billing date charges them. So no card is needed now.
        is_counted = caller.actor == USAGE and charge == "on_billing_date"
        if policy.Need.CARD in admitted.transition.needs and not is_counted:
            usable = payment_methods.is_usable(admitted.billing.payment_method, now)
            policy.check_needs(admitted.transition, card=usable or payment_methods.is_attached(session, method_id))
        if refusal is not None:
            raise refusal
        if charge == "now" and policy.Need.CARD in admitted.transition.needs:
            check_declines(session, gateway, caller.organization_id)
        intent = PlanChange(
            id=f"{CHANGE_ID_PREFIX}{uuid.uuid4().hex}",
            organization_id=caller.organization_id,
            state="requested",
            actor=caller.actor,
            from_plan=admitted.source,
            to_plan=admitted.target.key,
            quantity=admitted.quantity,
            interval=admitted.billing.contract.interval if admitted.billing.contract.moves else None,
            proration_date=from_unix(terms.proration_date) if terms is not None else None,
            quoted=terms.prorated if terms is not None else None,
            quoted_due_now=terms.amount_due_now if terms is not None and charge == "now" else None,
            cancellation=command.cancellation,
            steps={} if admitted.trial is None else {TRIAL_END: to_unix(now + timedelta(days=admitted.trial.days))},
            traceparent=telemetry.get_traceparent(),
            created_at=now,
        )
        first = freeze(session, gateway.catalog, intent, admitted.billing)
        bulk.flush(session, [intent])
        if admitted.trial is not None:
            session.add(
                Trial(organization_id=caller.organization_id, reason="started", change_id=intent.id, created_at=now)
            )
        if admitted.source != admitted.target.key and admitted.target.unit in admitted.billing.levels:
            recheck_levels(session, caller.organization_id, now)
        idempotency.link_change(session, caller, intent.id)
        jobs.defer(session, jobs.FINISH_CHANGE, {"change_id": intent.id}, lock=intent.id, at=now + FINISH_AFTER)
    bind_contextvars(change_id=intent.id)
    log.info("change_requested", from_plan=intent.from_plan, to_plan=intent.to_plan, quantity=intent.quantity)
    failpoint(Failpoint.INTENT_WRITTEN)
    return first
