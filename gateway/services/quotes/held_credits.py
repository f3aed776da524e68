"""Read from Stripe the credits against one invoice, and how far the gateway has withdrawn them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from stripe import Invoice

from gateway.json_types import Json
from gateway.services.quotes.lines import TaxShare, find_price
from gateway.services.runtime import Gateway
from gateway.stripe_api.client import stripe_call

CREDITED_INVOICE = "credited_invoice"  # the metadata key of our items and credit notes, with the id of the invoice
CLOCKS_APART = timedelta(hours=1)  # an item may be older than the invoice that bills it


@dataclass(frozen=True, kw_only=True)
class HeldCredits:
    """The credits against one invoice, in minor units. Taxes that come on top are only in ``noted``."""

    credited: int
    """What Stripe credited of the invoice, for time that the organization did not use."""
    charged_back: int
    """What the gateway charged to withdraw these credits, and what Stripe itself wrote off of them."""
    noted: int
    """What the gateway's credit notes took off the invoice instead."""
    forgiven: int
    """What other credit notes took off an invoice that is paid now, or gave back of it other than by a refund."""
    share: TaxShare
    """The taxes that come on top of the credited lines. Stripe adds them to credits, and credit notes contain them."""
    items: Sequence[Json]
    """The invoice items of these credits."""
    is_final: bool
    """Whether none of the credits is on a draft that Stripe may write off."""


def read_held_credits(gateway: Gateway, invoice: Invoice, to_come: Sequence[Json] = ()) -> HeldCredits:
    """Read from Stripe what was credited of an invoice. Add the credits ``to_come``, which are lines of a preview."""
    since = invoice.created - int(CLOCKS_APART.total_seconds())
    with stripe_call():
        listed = gateway.stripe.v1.invoice_items.list(
            {"customer": str(invoice.customer), "created": {"gte": since}, "limit": 100}
        )
        items = {item.id: item.to_dict(for_json=True) for item in listed.auto_paging_iter()}
        notes = gateway.stripe.v1.credit_notes.list({"invoice": invoice.id, "limit": 100})
        listed_notes = [note.to_dict(for_json=True) for note in notes.auto_paging_iter()]
    lines = list_billed_lines(gateway, invoice.id)
    found = [item for item in items.values() if credits_invoice(item, invoice.id, items) or credits_line(item, lines)]
    issued = [note for note in listed_notes if note["status"] == "issued"]
    bills = retrieve_bills(gateway, found)
    given = [item for item in found if item["invoice"] is None or counts(bills[item["invoice"]])]
    share = TaxShare.of(lines, {find_price(item) for item in [*found, *to_come]})
    return HeldCredits(
        credited=-sum(net_amount(item) for item in [*given, *to_come]),
        charged_back=sum(item["amount"] for item in items.values() if is_ours(item, invoice.id))
        + sum(compute_written_off(bill, given, share) for bill in bills.values()),
        noted=sum(note["total"] for note in issued if is_ours(note, invoice.id)),
        forgiven=sum(compute_forgiven(note, invoice) for note in issued if not is_ours(note, invoice.id)),
        share=share,
        items=found,
        is_final=not any(bill.status == "draft" and bill.total < 0 for bill in bills.values()),
    )


def list_billed_lines(gateway: Gateway, invoice_id: str) -> list[dict[str, Any]]:
    """List all lines of an invoice."""
    with stripe_call():
        lines = gateway.stripe.v1.invoices.line_items.list(invoice_id, {"limit": 100})
        return [line.to_dict(for_json=True) for line in lines.auto_paging_iter()]


def net_amount(item: Json) -> int:
    """Return what discounts leave of a proration. Stripe may itemize them instead of including them in the amount.

    https://docs.stripe.com/billing/subscriptions/billing-mode
    """
    amount: int = item["amount"] if item.get("net_amount") is None else item["net_amount"]
    return amount


def is_of_cancellation(item: Json) -> bool:
    """Return whether an item is a credit that the end of a subscription left on the customer.

    Stripe no longer ties it to the subscription, and does not say which invoice it credits.
    """
    return bool(item["proration"] and item["parent"] is None and item["amount"] < 0)


def credits_line(item: Json, lines: Sequence[Json]) -> bool:
    """Return whether the credit of a cancellation returns the rest of one of the invoice's ``lines``."""
    return is_of_cancellation(item) and any(
        describe_time(line) == describe_time(item)
        and line["period"]["start"] <= item["period"]["start"]
        and line["amount"] >= -item["amount"]
        for line in lines
    )


def describe_time(sold: Json) -> tuple[Json | None, int, int]:
    """Return what the credit of a line has in common with it: the price, the quantity and the end of the period."""
    pricing = sold["pricing"] or {}
    return pricing.get("price_details"), sold["quantity"], sold["period"]["end"]


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


def retrieve_bills(gateway: Gateway, found: Sequence[Json]) -> dict[str, Invoice]:
    """Retrieve the invoices that contain these items, by id."""
    ids = sorted({item["invoice"] for item in found if item["invoice"] is not None})
    with stripe_call():
        return {each: gateway.stripe.v1.invoices.retrieve(each) for each in ids}


def counts(bill: Invoice) -> bool:
    """Return whether a credit on this invoice is the organization's.

    It is not if the invoice is void. It is not yet if it belongs to a change that waits for its payment.
    """
    waits = bill.status == "open" and bill.billing_reason == "subscription_update"
    return bill.status != "void" and not waits


def compute_forgiven(note: Json, invoice: Invoice) -> int:
    """Return how much of a credit note was never received or went back. The mirror's charges count its refunds.

    https://docs.stripe.com/api/credit_notes/object
    """
    given_back: int = note["post_payment_amount"] - sum(refund["amount_refunded"] for refund in note["refunds"])
    return given_back + (note["pre_payment_amount"] if invoice.status == "paid" else 0)


def compute_written_off(bill: Invoice, given: Sequence[Json], share: TaxShare) -> int:
    """Return how much of the credits on this invoice the organization never gets.

    Stripe writes the final invoice of a subscription off if its total is negative.
    """
    on_it = -sum(net_amount(item) for item in given if item["invoice"] == bill.id)
    return min(on_it, share.take_from(-bill.total)) if bill.status == "uncollectible" and bill.total < 0 else 0


def is_ours(stripe_object: Json, invoice_id: str) -> bool:
    """Return whether the gateway made an invoice item or a credit note to withdraw credits of the invoice."""
    return bool((stripe_object["metadata"] or {}).get(CREDITED_INVOICE) == invoice_id)
