"""Read from Stripe the credits against one invoice, and how far the gateway has withdrawn them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from stripe import Invoice

from gateway.db.models import Json
from gateway.services.runtime import Gateway
from gateway.stripe_api.client import stripe_call

CREDITED_INVOICE = "credited_invoice"  # the metadata key of our items and credit notes, with the id of the invoice
CLOCKS_APART = timedelta(hours=1)  # an item may be older than the invoice that bills it


@dataclass(frozen=True, kw_only=True)
class HeldCredits:
    """The credits against one invoice, in minor units."""

    credited: int
    """What Stripe credited of the invoice, for time that the organization did not use."""
    charged_back: int
    """What the gateway charged to withdraw these credits."""
    noted: int
    """What the gateway's credit notes took off the invoice instead."""


def read_held_credits(gateway: Gateway, invoice: Invoice) -> HeldCredits:
    """Read from Stripe what was credited of an invoice."""
    since = invoice.created - int(CLOCKS_APART.total_seconds())
    with stripe_call():
        listed = gateway.stripe.v1.invoice_items.list(
            {"customer": str(invoice.customer), "created": {"gte": since}, "limit": 100}
        )
        items = {item.id: item.to_dict(for_json=True) for item in listed.auto_paging_iter()}
        notes = gateway.stripe.v1.credit_notes.list({"invoice": invoice.id, "limit": 100})
        ours = [note.to_dict(for_json=True) for note in notes.auto_paging_iter()]
    credits_against = [item for item in items.values() if credits_invoice(item, invoice.id, items)]
    return HeldCredits(
        credited=-sum(item["amount"] for item in credits_against if counts(gateway, item)),
        charged_back=sum(item["amount"] for item in items.values() if is_ours(item, invoice.id)),
        noted=sum(note["total"] for note in ours if note["status"] == "issued" and is_ours(note, invoice.id)),
    )


def credits_invoice(item: Json, invoice_id: str, items: Mapping[str, Json]) -> bool:
    """Return whether an invoice item credits a line of the invoice.

    If the debit was still pending when Stripe credited it, the credit names the debit's invoice item instead.
    https://docs.stripe.com/api/invoiceitems/object#invoiceitem_object-proration_details
    """
    credited: dict[str, Any] | None = (item.get("proration_details") or {}).get("credited_items")
    if credited is None:
        return False
    if credited["type"] == "invoice_line_items":
        return bool(credited["invoice_line_item_details"]["invoice"] == invoice_id)
    debit = items.get(credited["invoice_item"])
    return debit is not None and debit["invoice"] == invoice_id


def counts(gateway: Gateway, item: Json) -> bool:
    """Return whether a credit is the organization's.

    It is not if its invoice is void. It is not yet if it belongs to a change that waits for its payment.
    """
    if item["invoice"] is None:
        return True
    with stripe_call():
        invoice = gateway.stripe.v1.invoices.retrieve(item["invoice"])
    waits = invoice.status == "open" and invoice.billing_reason == "subscription_update"
    return invoice.status != "void" and not waits


def is_ours(stripe_object: Json, invoice_id: str) -> bool:
    """Return whether the gateway made an invoice item or a credit note to withdraw credits of the invoice."""
    return bool((stripe_object["metadata"] or {}).get(CREDITED_INVOICE) == invoice_id)
