"""Withdraw the credits that Stripe makes for time that was never paid, or whose payment went back.

Stripe prorates as if each invoice will be paid. An organization may leave a plan whose invoice is unpaid. It would get
a credit for the unused time, and the invoice would still ask for the whole period. After such a change, the gateway
does two things for each unpaid invoice:

1. It charges the credit back with an invoice item of the same amount.
2. It issues a credit note of that amount on the invoice, so that the organization owes the used time.

The update itself stays the ordinary one. With ``proration_behavior=none``, Stripe would drop the usage of the removed
items. It would also credit the unpaid time in the next change of the same period.

Each step follows only from what Stripe holds, so a crash, a retry and another change's withdrawal do no harm. The
idempotency key of a step names the total that the step starts from. Two processes that read the same total make the
step once. The SDK retries none of these calls. So a replayed answer always belongs to an earlier call.
"""

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import select, update

from gateway.db import jobs
from gateway.db.models import UNSETTLED, Organization, PlanChange, Subscription
from gateway.db.models import Invoice as StoredInvoice
from gateway.errors import NotFound, StripeRejected, StripeUnavailable
from gateway.failpoints import Failpoint, failpoint
from gateway.services.mirror.refresh import refresh
from gateway.services.plan_changes.charge_back import build_metadata, charge_back
from gateway.services.plan_changes.stripe_calls import Step
from gateway.services.plan_table.attribution import CREDIT_KEY_PREFIX
from gateway.services.plan_table.rows import load_plans
from gateway.services.plan_table.selection import stands_for_plan
from gateway.services.quotes.unpaid_time import UnpaidTime
from gateway.services.runtime import Gateway
from gateway.services.subscription.billing_state import load_billing_state
from gateway.services.subscription.renewals import refresh_unseen_invoices
from gateway.stripe_api.client import is_key_spent, stripe_call
from gateway.stripe_api.snapshots import InvoiceSnapshot, UnreadableObject

if TYPE_CHECKING:
    from stripe.params import CreditNoteCreateParams

UNTIL_FINALIZED = timedelta(hours=1, minutes=5)  # Stripe finalizes a draft after an hour and then charges it
NOTE_TEXT = "Unused time of the billing period."

log = structlog.get_logger()


def withdraw_or_leave_to_job(gateway: Gateway, last: Step) -> None:
    """Withdraw the change's credits for unpaid time. If Stripe refuses or does not answer, leave them to the job.

    ``last`` is the call that made the change. The merge of its answer has queued the job (``finish_withdrawal``).
    """
    if not last.leaves_unpaid:
        return
    change, unsettled = load_unsettled(gateway, last.change_id)
    changes = find_changes(gateway, change.organization_id, unsettled)
    try:
        for each in unsettled:
            withdraw_from_invoice(gateway, changes.get(each), each)
    except (NotFound, StripeRejected, StripeUnavailable, UnreadableObject):
        log.warning("credits_left_to_job", change_id=last.change_id, exc_info=True)


def finish_withdrawal(gateway: Gateway, change_id: str) -> None:
    """Run the job that withdraws the change's credits for unpaid time, and queue the check of its charge.

    Run it again while an invoice is a draft, is being paid, or has a credit that Stripe may write off. Usually, the
    event that ends the wait has then withdrawn the credit (``withdraw_for_organization``). The drafts of an ``unpaid``
    subscription stay drafts, so the pauses double each time. Raise StripeRejected or StripeUnavailable, and the worker
    then retries the job.
    """
    change, unsettled = load_unsettled(gateway, change_id)
    is_final = withdraw_or_wait(gateway, change.organization_id, unsettled)
    now = gateway.clock()
    with gateway.database.transaction() as session:
        change = session.get_one(PlanChange, change_id)
        if change.quoted is not None and change.charged is None:
            jobs.defer(session, jobs.CHECK_CHARGE, {"change_id": change_id})
        if not is_final:
            pause = max(now - (change.ended_at or now), UNTIL_FINALIZED)
            jobs.defer(session, jobs.WITHDRAW_CREDITS, {"change_id": change_id}, at=now + pause)


def load_unsettled(gateway: Gateway, change_id: str) -> tuple[PlanChange, list[str]]:
    """Load a change, and the ids of the invoices that were unpaid before it. An ordinary change has none."""
    with gateway.database.reading() as session:
        change = session.get_one(PlanChange, change_id)
    return change, change.steps.get(UNSETTLED, [])


def withdraw_for_organization(gateway: Gateway, organization_id: str) -> None:
    """Run the job that withdraws the credits of all changes of an organization, also of those made in the dashboard.

    ``plan_table/writer.update_plan_table`` queues it. If an invoice is a draft or being paid, ``mirror.merge.merge``
    queues it again with the invoice's next state. Raise as ``finish_withdrawal`` does.
    """
    refresh_unseen_invoices(gateway, organization_id)
    with gateway.database.reading() as session:
        plans = load_plans(session)
        rows = session.scalars(select(Subscription).where(Subscription.organization_id == organization_id)).all()
        billing = load_billing_state(session, organization_id, gateway.catalog)
        waits = (StoredInvoice.organization_id == organization_id, StoredInvoice.withdrawal_waits)
        waiting = session.scalars(select(StoredInvoice.id).where(*waits).order_by(StoredInvoice.id)).all()
    # Also those that have ended, because a cancellation may credit the unused time.
    ours = [each.id for each in rows if stands_for_plan(each, plans)]
    unsettled = [each for own in ours for each in billing.list_unsettled(own)]
    withdraw_or_wait(gateway, organization_id, list(dict.fromkeys([*unsettled, *waiting])))


def withdraw_or_wait(gateway: Gateway, organization_id: str, invoices: Sequence[str]) -> bool:
    """Mark the invoices, withdraw their credits, and clear the marks of final ones. Return whether all are final."""
    # Written before Stripe is asked. Otherwise the merge could miss a state between the answer and the mark.
    mark_withdrawals(gateway, organization_id, invoices, waits=True)
    changes = find_changes(gateway, organization_id, invoices)
    finals = [each for each in invoices if withdraw_from_invoice(gateway, changes.get(each), each)]
    mark_withdrawals(gateway, organization_id, finals, waits=False)
    return len(finals) == len(invoices)


def find_changes(gateway: Gateway, organization_id: str, invoices: Collection[str]) -> dict[str, str]:
    """Return the id of the last change before which each invoice was unpaid. Changes in the dashboard have none.

    All jobs name the same change in the metadata. Otherwise Stripe would refuse an idempotency key that another job is
    using, and we would take that call for one that is over.
    """
    if not invoices:
        return {}
    made = select(PlanChange.id, PlanChange.steps[UNSETTLED]).where(
        PlanChange.organization_id == organization_id, PlanChange.steps[UNSETTLED].is_not(None)
    )
    with gateway.database.reading() as session:
        found = session.execute(made.order_by(PlanChange.created_at, PlanChange.id)).all()
    return {invoice_id: change_id for change_id, unsettled in found for invoice_id in unsettled}


def mark_withdrawals(gateway: Gateway, organization_id: str, invoices: Sequence[str], *, waits: bool) -> None:
    """Store whether the credits of the organization's invoices wait to be withdrawn."""
    if invoices:
        with gateway.database.transaction() as session:
            # The merge locks the organization before its rows. Without the same order, the two could deadlock.
            session.execute(select(Organization.id).where(Organization.id == organization_id).with_for_update())
            session.execute(update(StoredInvoice).where(StoredInvoice.id.in_(invoices)).values(withdrawal_waits=waits))


def withdraw_from_invoice(gateway: Gateway, change_id: str | None, invoice_id: str) -> bool:
    """Withdraw what Stripe credited of one invoice if it is not paid.

    Return False if it is still a draft, if a payment is in progress, or if Stripe may write the credit off itself.

    If an earlier call has spent an idempotency key, that call is over and its effects stand. So read again what Stripe
    holds, and try the next key. All processes use the keys in the same order. A new failure ends the loop.
    """
    attempt = 0
    while True:
        try:
            return try_withdrawal(gateway, change_id, invoice_id, attempt)
        except (StripeRejected, StripeUnavailable) as error:
            if not is_key_spent(error):
                raise
        attempt += 1


def try_withdrawal(gateway: Gateway, change_id: str | None, invoice_id: str, attempt: int) -> bool:
    """Do what ``withdraw_from_invoice`` does, with the idempotency keys of one attempt."""
    try:
        unpaid = UnpaidTime.read(gateway, invoice_id)
        if unpaid is None:
            return False
        if unpaid.charge > 0:
            charge_back(gateway, change_id, unpaid, attempt)
    except NotFound:  # a draft that was deleted, or a customer, and its credits with it
        return True
    if unpaid.note > 0:
        issue_credit_note(gateway, change_id, unpaid, attempt)
        refresh(gateway, InvoiceSnapshot.kind, invoice_id)
    return True


def issue_credit_note(gateway: Gateway, change_id: str | None, unpaid: UnpaidTime, attempt: int) -> None:
    """Take the unpaid time off the invoice. For a paid invoice, add it to the customer's balance.

    Stripe may refuse to credit a written-off invoice. The organization then owes the whole period.
    """
    invoice, amount = unpaid.invoice, unpaid.note
    params: CreditNoteCreateParams = {
        "invoice": invoice.id,
        "amount": amount,
        "reason": "order_change",
        "memo": NOTE_TEXT,
        "metadata": build_metadata(invoice, change_id),
    }
    if invoice.status == "paid":
        params["credit_amount"] = amount
    key = f"{CREDIT_KEY_PREFIX}{invoice.id}:note:{unpaid.held.noted}:{attempt}"
    try:
        with stripe_call():
            gateway.stripe.v1.credit_notes.create(params, {"idempotency_key": key, "max_network_retries": 0})
    except StripeRejected:
        if invoice.status != "uncollectible":
            raise
        log.exception("credit_note_refused", change_id=change_id, invoice_id=invoice.id)
    failpoint(Failpoint.CREDIT_NOTE_ISSUED)
