"""Comparing what Stripe charges for a confirmed change with its quote."""

from collections.abc import Iterable
from datetime import timedelta

import structlog
from sqlalchemy.orm import Session
from stripe import Invoice, InvoiceItem

from gateway.db.models import MADE_FROM, Organization, PlanChange
from gateway.services.plan_changes.stripe_calls import UPDATE
from gateway.services.runtime import Gateway
from gateway.stripe_api.client import stripe_call
from gateway.stripe_api.snapshots import CHANGE_ID
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
    with gateway.database.transaction() as session:
        change = session.get_one(PlanChange, change_id)
        customer_id = find_customer_id(session, change)
    if change.charged is not None or change.proration_date is None or customer_id is None:
        return
    items = list_change_items(gateway, customer_id, change)
    charged = sum(item.amount for item in items)
    due_now = sum_amounts_due(gateway, items) if change.quoted_due_now is not None else None
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


def list_change_items(gateway: Gateway, customer_id: str, change: PlanChange) -> list[InvoiceItem]:
    """Return the prorations that begin in the change's second, and what it charged back for unpaid time.

    If the change restarted the periods, the debits begin in the second in which Stripe made it. A later change may have
    made such items too, so only those count that are on an invoice of this change.
    """
    since = to_unix(change.created_at - CLOCKS_APART)
    with stripe_call():
        items = gateway.stripe.v1.invoice_items.list({"customer": customer_id, "created": {"gte": since}, "limit": 100})
        found = [item for item in items.auto_paging_iter() if is_of_change(item, change)]
        if not restarts(change):
            return found
        return [
            item for item in found if any(names_change(each, change) for each in retrieve_invoices(gateway, [item]))
        ]


def restarts(change: PlanChange) -> bool:
    """Return whether the change restarted the billing periods."""
    return "billing_cycle_anchor" in change.steps.get(UPDATE, {})


def names_change(invoice: Invoice, change: PlanChange) -> bool:
    """Return whether the invoice shows the metadata that the change gave its subscription.

    https://docs.stripe.com/api/invoices/object
    """
    parent = invoice.parent.subscription_details if invoice.parent is not None else None
    metadata = parent.to_dict()["metadata"] if parent is not None else None
    return bool((metadata or {}).get(CHANGE_ID) == change.id)


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
    return bool(metadata.get(CHANGE_ID) == change.id)


def sum_amounts_due(gateway: Gateway, items: Iterable[InvoiceItem]) -> int:
    """Return the amount due of the invoice that contains these items, or 0 if there is none."""
    with stripe_call():
        return sum(invoice.amount_due for invoice in retrieve_invoices(gateway, items))


def retrieve_invoices(gateway: Gateway, items: Iterable[InvoiceItem]) -> list[Invoice]:
    """Return the invoices that contain the items."""
    invoices = {item.invoice if isinstance(item.invoice, str) else item.invoice.id for item in items if item.invoice}
    return [gateway.stripe.v1.invoices.retrieve(each) for each in sorted(invoices)]


def find_customer_id(session: Session, change: PlanChange) -> str | None:
    """Return the id of the Stripe customer of the change's organization."""
    return session.get_one(Organization, change.organization_id).stripe_customer_id
