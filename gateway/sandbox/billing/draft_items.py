"""Invoice items that a request puts on a draft, or takes off it (https://docs.stripe.com/api/invoiceitems/create)."""

from gateway.sandbox.billing import invoicing
from gateway.sandbox.billing.lines import from_pending, invoice_item_of, lines_of
from gateway.sandbox.errors import invalid
from gateway.sandbox.json_types import Json
from gateway.sandbox.work import Work

_NOT_DRAFT = "You can only add items to draft invoices."  # inferred, like the other texts here


def draft_for(work: Work, invoice_id: str, customer: str) -> Json:
    """Return the customer's draft, or raise 400."""
    invoice = work.get("invoice", invoice_id, param="invoice", status=400)
    if invoice["customer"] != customer:
        raise invalid("The invoice does not belong to the customer.", param="invoice")
    if invoice["status"] != "draft":
        raise invalid(_NOT_DRAFT, param="invoice")
    return invoice


def put(work: Work, invoice: Json, item: Json) -> Json:
    """Put the new item on the draft, before its other lines, and return the item."""
    if item["currency"] != invoice["currency"]:
        raise invalid(f"The invoice is in {invoice['currency']}, not in {item['currency']}.", param="currency")
    added = work.add(item | {"invoice": invoice["id"]})
    _set_lines(work, invoice, from_pending(work, invoice["id"], [added]) + lines_of(work, invoice["id"]))
    return added


def take_off(work: Work, invoice: Json, item: Json) -> None:
    """Remove the item's line from the draft."""
    _set_lines(work, invoice, [line for line in lines_of(work, invoice["id"]) if invoice_item_of(line) != item["id"]])


def _set_lines(work: Work, invoice: Json, lines: list[Json]) -> None:
    work.update(invoice, invoicing.put_lines(work, invoice, lines))
