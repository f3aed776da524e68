"""The phase of the drift walk that finds payments in progress, which the lists of invoices do not show."""

from sqlalchemy import select

from gateway.db.models import Invoice
from gateway.services.reconciliation.drift_phases import FindUnseen, Page, compare_each, fetch_list
from gateway.services.runtime import Gateway
from gateway.stripe_api.events import JsonObject
from gateway.stripe_api.snapshots import InvoiceSnapshot, body_of, id_of


def compare_open_payments(gateway: Gateway, cursor: str | None, _: FindUnseen) -> Page:
    """Compare the invoices with a payment in progress of which the mirror does not know.

    An account collects unpaid invoices over the years. One list shows the open payments of a hundred of them.
    https://docs.stripe.com/api/invoice-payment/list
    """
    page = body_of(
        fetch_list(gateway, "invoice_payments", cursor, status="open", expand=["data.payment.payment_intent"])
    )
    payments: list[JsonObject] = page["data"]
    invoices = [id_of(each["invoice"]) for each in payments if is_in_progress(each)]
    unnoticed = select(Invoice.id).where(
        Invoice.id.in_(invoices), Invoice.status == "open", Invoice.payment_under_way.is_not(True)
    )
    with gateway.database.reading() as session:
        suspects = session.scalars(unnoticed).all()
    return Page(
        cursor=payments[-1]["id"] if page["has_more"] else None,
        looked_at=len(payments),
        differences=compare_each(gateway, InvoiceSnapshot, suspects),
    )


def is_in_progress(payment: JsonObject) -> bool:
    """Return whether Stripe waits for the bank, as for a debit that takes days."""
    intent = payment["payment"].get("payment_intent")
    return isinstance(intent, dict) and intent["status"] == "processing"
