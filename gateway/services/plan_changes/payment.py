"""Changes that take effect only once they are paid (``charge = "now"``).

Stripe parks such a change as the subscription's pending update while its invoice is open: a decline changes nothing,
and a card that asks for its holder (3-D Secure) is given until the update expires.
https://docs.stripe.com/billing/subscriptions/pending-updates
"""

import uuid

from stripe import Invoice, PaymentIntent

from gateway.db.models import PlanChange
from gateway.errors import CardDeclined, Conflict, StripeRejected
from gateway.failpoints import Failpoint, failpoint
from gateway.services.mirror.refresh import merge_answer, refresh
from gateway.services.plan_changes.stripe_calls import lock_change
from gateway.services.plan_changes.view import ChangeView, get_change
from gateway.services.runtime import Caller, Gateway
from gateway.services.subscription.billing_state import position_of
from gateway.stripe_api.client import stripe_call
from gateway.stripe_api.snapshots import InvoiceSnapshot, SubscriptionSnapshot

INVOICE = "pending_invoice"  # among a change's steps: the invoice that it waits for
HOLDER_IS_ASKED = frozenset({"requires_action", "requires_confirmation"})
NOBODY_PAYS = frozenset({"requires_payment_method", "canceled"})
ENDS = frozenset({"void", "paid"})
ASKED = frozenset({"requested", "processing"})


def see_to(gateway: Gateway, change_id: str, invoice: Invoice) -> None:
    """Let the change wait for its customer if the card asks for them; if the card was declined, call it off.

    Raises CardDeclined.
    """
    with stripe_call():
        intent = gateway.stripe.v1.payment_intents.retrieve(intent_of(invoice))
    if intent.status in HOLDER_IS_ASKED:
        wait(gateway, change_id, invoice, intent)
    elif intent.status in NOBODY_PAYS and void(gateway, change_id, invoice.id):
        declined = intent.last_payment_error
        raise CardDeclined((declined and declined.message) or "The card was declined.")


def intent_of(invoice: Invoice) -> str:
    """The payment intent of an invoice whose payments are expanded."""
    payments = invoice.payments.data if invoice.payments is not None else []
    intent = payments[0].payment.payment_intent if payments else None
    if intent is None:
        raise StripeRejected("Stripe shows no payment for the invoice of a pending update.")
    return intent.id if isinstance(intent, PaymentIntent) else intent


def wait(gateway: Gateway, change_id: str, invoice: Invoice, intent: PaymentIntent) -> None:
    """Keep what the customer's browser needs, unless Stripe has told of an end meanwhile."""
    with gateway.database.transaction() as session:
        change = lock_change(session, change_id)
        subscription = position_of(session, change.organization_id).subscription
        pending = subscription is not None and subscription.pending_until is not None
        if change.state in ASKED and pending:
            change.state, change.client_secret = "requires_action", intent.client_secret
            change.steps = {**change.steps, INVOICE: {"id": invoice.id}}
    failpoint(Failpoint.PAYMENT_AWAITED)


def void(gateway: Gateway, change_id: str, invoice_id: str) -> bool:
    """Make the invoice void, which discards the pending update with it; False if it was paid in this moment."""
    # A key of its own each time, since a 500 would be repeated by it. Stripe makes nothing void twice.
    key = f"{change_id}:void_invoice:{uuid.uuid4().hex}"
    try:
        with stripe_call():
            answer = gateway.stripe.v1.invoices.void_invoice(invoice_id, options={"idempotency_key": key})
    except StripeRejected:  # void already, or paid
        with stripe_call():
            answer = gateway.stripe.v1.invoices.retrieve(invoice_id)
        if answer.status not in ENDS:
            raise
    failpoint(Failpoint.INVOICE_VOIDED)
    merge_answer(gateway, InvoiceSnapshot, answer, cause=change_id)
    return answer.status == "void"


def abandon(gateway: Gateway, caller: Caller, change_id: str) -> ChangeView:
    """Call off a change that waits for its customer; if they have paid in this moment, it is applied instead.

    Raises NotFound, Conflict if it waits for nobody.
    """
    view = get_change(gateway, caller, change_id)
    if view.state != "requires_action":
        raise Conflict("Only a change that waits for its payment can be called off.")
    with gateway.database.transaction() as session:
        change = session.get_one(PlanChange, change_id)
        subscription = position_of(session, change.organization_id).subscription
    void(gateway, change_id, change.steps[INVOICE]["id"])
    if subscription is not None:
        refresh(gateway, SubscriptionSnapshot.kind, subscription.id)
    return get_change(gateway, caller, change_id)
