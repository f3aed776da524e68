"""The voiding of an invoice."""

from gateway.sandbox.billing import balance, intents, ledger, pending_update, standing
from gateway.sandbox.billing.lines import lines_of
from gateway.sandbox.errors import invalid
from gateway.sandbox.json_types import Json
from gateway.sandbox.objects.invoice import is_unpaid, subscription_of
from gateway.sandbox.work import Work


def void(work: Work, invoice: Json) -> Json:
    """Void an open or uncollectible invoice (https://docs.stripe.com/invoicing/overview#void).

    Its amounts stay, as recorded from Stripe's API. The balance that it used is restored. A pending update that waited
    for it is discarded. The status of its subscription then follows from the invoice before it. Its credit notes stay
    issued, which is an inference.
    """
    if not is_unpaid(invoice):
        raise invalid("You can only pass in open invoices. This invoice isn't open.")
    intents.refuse_processing(work, invoice)
    changes = {
        "auto_advance": False,
        "next_payment_attempt": None,
        "status": "void",
        "status_transitions": invoice["status_transitions"] | {"voided_at": work.now},
    }
    intents.cancel(work, invoice["id"], "void_invoice")
    voided = work.update(invoice, changes, "invoice.voided", "invoice.updated")
    balance.give_back(work, voided)
    for line in lines_of(work, invoice["id"]):
        ledger.forget(work, line)
    subscription_id = subscription_of(invoice)
    subscription = work.find("subscription", subscription_id) if subscription_id else None
    if subscription and pending_update.applies(work, subscription, invoice):
        pending_update.discard(work, subscription)
    standing.restore(work, voided)
    return voided
