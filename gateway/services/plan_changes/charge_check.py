"""Comparing what Stripe charges for a confirmed change with its quote."""

from datetime import timedelta

import structlog
from sqlalchemy.orm import Session
from stripe import Invoice, InvoiceItem

from gateway.db.models import MADE_FROM, Organization, PlanChange
from gateway.services.plan_changes.stripe_calls import UPDATE
from gateway.services.runtime import Gateway
from gateway.stripe_api.client import stripe_call
from gateway.stripe_api.snapshots import CHANGE_ID_KEY
from gateway.stripe_api.times import to_unix

CLOCKS_APART = timedelta(hours=1)  # far more than the difference of two clocks, far less than a period

log = structlog.get_logger()


def check_charge(gateway: Gateway, change_id: str) -> None:
    """Record what Stripe charges for a change, and log an error if it differs from the quote.

    ``plan_table/writer.close_changes`` queues this job when it closes a quoted change. The change's cost is the sum of
    the invoice items that it made, invoiced or not. The amount due immediately is the amount due of their invoice. It
    also contains a balance, a tax or an item that the quote did not know. Raise StripeUnavailable, and the worker then
    retries the job.
    """
    with gateway.database.reading() as session:
        change = session.get_one(PlanChange, change_id)
        customer_id = find_customer_id(session, change)
    if change.charged is not None or change.proration_date is None or customer_id is None:
        return
    charged, due = add_up(gateway, customer_id, change)
    due_now = due if change.quoted_due_now is not None else None
    with gateway.database.transaction() as session:
        row = session.get_one(PlanChange, change_id, with_for_update=True)
        row.charged, row.due_now = charged, due_now
    if (charged, due_now) != (change.quoted, change.quoted_due_now):
        log.error(
            "charge_differs_from_quote",
            change_id=change_id,
            quoted=change.quoted,
            charged=charged,
            quoted_due_now=change.quoted_due_now,
            due_now=due_now,
        )


def add_up(gateway: Gateway, customer_id: str, change: PlanChange) -> tuple[int, int]:
    """Return the sum of the items that a change made, and the amount due of their invoices.

    These are the prorations that begin in the change's second, and what it charged back for unpaid time. If the change
    restarted the periods, the debits begin in the second in which Stripe made it. A later change may have made such
    items too. So only those count that are on an invoice of this change, and of pending ones, the earliest.
    """
    since = to_unix(change.created_at - CLOCKS_APART)
    with stripe_call():
        items = gateway.stripe.v1.invoice_items.list({"customer": customer_id, "created": {"gte": since}, "limit": 100})
        found = [item for item in items.auto_paging_iter() if is_of_change(item, change)]
        ids = sorted({str(item.invoice) for item in found if item.invoice is not None})
        invoices = [gateway.stripe.v1.invoices.retrieve(each) for each in ids]
    # If the change's call was repeated under another key, Stripe has voided the invoice of the first one.
    is_invoiced = restarts(change) and change.steps[UPDATE]["proration_behavior"] == "always_invoice"
    own = [each for each in invoices if each.status != "void" and (not restarts(change) or names_change(each, change))]
    counted = {each.id for each in own} | (set() if is_invoiced else {None})
    made = [each for each in found if each.invoice in counted]
    if restarts(change) and not is_invoiced:
        begins = min((each.period.start for each in made if each.proration and each.amount > 0), default=None)
        made = [each for each in made if not each.proration or each.period.start == begins]
    return sum(each.amount for each in made), sum(each.amount_due for each in own)


def restarts(change: PlanChange) -> bool:
    """Return whether the change restarted the billing periods."""
    return "billing_cycle_anchor" in change.steps.get(UPDATE, {})


def names_change(invoice: Invoice, change: PlanChange) -> bool:
    """Return whether the invoice shows the metadata that the change gave its subscription.

    https://docs.stripe.com/api/invoices/object
    """
    parent = invoice.parent.subscription_details if invoice.parent is not None else None
    metadata = parent.to_dict()["metadata"] if parent is not None else None
    return bool((metadata or {}).get(CHANGE_ID_KEY) == change.id)


def is_of_change(item: InvoiceItem, change: PlanChange) -> bool:
    """Return whether the change made the item. A charge-back is no proration, but its metadata name the change.

    The quote covers the subscription that the change updates, and not the duplicates that Cancel plan ends.
    """
    updated = change.steps.get(MADE_FROM)
    parent = item.parent.subscription_details if item.parent is not None else None
    if updated and (parent is None or parent.subscription != updated[0]):
        return False
    if item.proration:
        quoted = to_unix(change.proration_date) if change.proration_date is not None else None
        return quoted is not None and (item.period.start == quoted or (restarts(change) and item.period.start > quoted))
    metadata = item.to_dict()["metadata"] or {}
    return bool(metadata.get(CHANGE_ID_KEY) == change.id)


def find_customer_id(session: Session, change: PlanChange) -> str | None:
    """Return the id of the Stripe customer of the change's organization."""
    return session.get_one(Organization, change.organization_id).stripe_customer_id
