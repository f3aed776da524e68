"""Manual invoices (https://docs.stripe.com/api/invoices/create), and the collection settings of a draft."""

from gateway.sandbox.billing import discounts, invoicing, redemption, taxes
from gateway.sandbox.billing.lines import from_pending, lines_of
from gateway.sandbox.billing.sending import ONLY_IF_SENT, SENT_WITHOUT_DATE
from gateway.sandbox.currencies import known
from gateway.sandbox.errors import invalid
from gateway.sandbox.json_types import Json
from gateway.sandbox.objects import invoice as objects
from gateway.sandbox.settings import DAY
from gateway.sandbox.work import Work

PRICING = {"automatic_tax", "default_tax_rates", "discounts"}
COLLECTION = ("auto_advance", "collection_method", "days_until_due")


def create(work: Work, customer: Json, subscription: Json | None, params: Json) -> Json:
    """Create a draft of the pending items, newest first, if the request includes them. Else create an empty draft.

    It advances automatically only if the request says so, as recorded from Stripe's API, 2026-08-26.dahlia.
    """
    currency = known(params.get("currency") or customer["currency"] or "usd")
    invoice_id = work.ids.new("in")
    pending = _pending(work, customer["id"], subscription, currency) if _included(params) else []
    invoice = objects.build(work, customer, invoice_id=invoice_id, currency=currency, reason="manual")
    invoice |= {
        "auto_advance": False,
        "description": params.get("description") or None,
        "metadata": params.get("metadata") or {},
        "parent": objects.parent_of(subscription) if subscription else None,
    }
    invoice |= collected(work, invoice, params)
    invoice |= taxes.of_invoice(subscription or invoice)
    invoice |= taxes.requested(work, invoice, params)
    invoice["discounts"] = discounted(work, invoice, params, _inherited(work, customer, subscription))
    work.add(invoice | invoicing.put_lines(work, invoice, from_pending(work, invoice_id, pending)))
    for item in pending:
        work.update(item, {"invoice": invoice_id})
    return work.get("invoice", invoice_id)


def _inherited(work: Work, customer: Json, subscription: Json | None) -> list[str]:
    """Return the discounts of the subscription or else of the customer, which an invoice has by default."""
    found = discounts.of_subscription(work, subscription or {"customer": customer["id"], "discounts": []})
    return discounts.live(work, found, work.now)


def discounted(work: Work, invoice: Json, params: Json, default: list[str]) -> list[str]:
    """Return the invoice's discounts after ``params``, or else ``default``."""
    if "discounts" not in params:
        return default
    owner = {"customer": invoice["customer"], "invoice": invoice["id"]}
    return redemption.redeem(work, params["discounts"], owner, invoice["currency"])


def _included(params: Json) -> bool:
    return bool(params.get("pending_invoice_items_behavior") == "include")


def _pending(work: Work, customer: str, subscription: Json | None, currency: str) -> list[Json]:
    """Return the customer's pending items, or only those of the subscription that the invoice is for."""
    if subscription:
        return invoicing.pending_items(work, subscription, loose=False)
    items = work.select("invoiceitem", customer)
    return [item for item in items if item["invoice"] is None and item["currency"] == currency]


def collected(work: Work, invoice: Json, params: Json) -> Json:
    """Return the draft's fields for its finalization and collection after ``params``.

    The times of a draft that is sent or advances are as recorded from Stripe's API, 2026-08-26.dahlia. Two rules are
    inferences. A sent invoice needs a due date, and times count from the request that sets them.
    """
    method = params.get("collection_method", invoice["collection_method"])
    advances = params.get("auto_advance", invoice["auto_advance"])
    sent = method == "send_invoice"
    due_date = invoice["due_date"] if sent else None
    if "days_until_due" in params:
        if not sent:
            raise invalid(ONLY_IF_SENT)
        due_date = invoice["created"] + params["days_until_due"] * DAY
    if sent and due_date is None:
        raise invalid(SENT_WITHOUT_DATE)
    return {
        "auto_advance": advances,
        "automatically_finalizes_at": work.now + invoicing.DRAFT_SECONDS + 1 if advances else None,
        "collection_method": method,
        "due_date": due_date,
        "next_payment_attempt": work.now + invoicing.DRAFT_SECONDS if advances and not sent else None,
    }


def reprice(work: Work, invoice: Json, params: Json) -> Json:
    """Return the draft's fields after its discounts or taxes changed."""
    changed = {"discounts": discounted(work, invoice, params, invoice["discounts"])}
    changed |= taxes.requested(work, invoice, params)
    return changed | invoicing.put_lines(work, invoice | changed, lines_of(work, invoice["id"]))


def delete(work: Work, invoice: Json) -> Json:
    """Delete a one-off draft. Its items become pending again."""
    if invoice["status"] != "draft" or invoice["parent"]:
        raise invalid("You can only delete one-off invoices that are drafts.")  # inferred wording
    for item in list(work.select("invoiceitem", invoice["customer"])):
        if item["invoice"] == invoice["id"]:
            work.update(item, {"invoice": None})
    work.note("lines", invoice["id"], {"data": []})
    return work.remove(invoice)
