"""Invoices that are not expected to be paid."""

from gateway.sandbox.billing import standing
from gateway.sandbox.json_types import Json
from gateway.sandbox.work import Work


def mark(work: Work, invoice: Json, reason: str) -> Json:
    """Mark the invoice as uncollectible.

    Its amounts stay, as recorded from Stripe's API, 2026-08-26.dahlia. The ``reason`` is new in endive. A subscription
    that is ``past_due`` for this invoice becomes active.
    """
    moment = {"marked_uncollectible_at": work.now}
    changes = {
        "auto_advance": False,
        "automatically_finalizes_at": None,
        "next_payment_attempt": None,
        "status": "uncollectible",
        "status_details": {"uncollectible": {"reason": reason}},
        "status_transitions": invoice["status_transitions"] | moment,
    }
    marked = work.update(invoice, changes, "invoice.marked_uncollectible", "invoice.updated")
    standing.restore(work, marked)
    return marked
