"""Changes that take effect only after they are paid (``charge = "now"``).

A declined card changes nothing, because Stripe then saves neither the change nor its invoice. If the cardholder must
approve the payment (3-D Secure), a second call makes Stripe keep the change as the subscription's pending update. Its
invoice is open until the holder approves or the update expires.
https://docs.stripe.com/billing/subscriptions/pending-updates
"""

import uuid
from collections.abc import Mapping
from functools import partial
from typing import cast

from sqlalchemy.orm import Session
from stripe import Invoice, PaymentIntent

from gateway.db.models import PENDING_INVOICE, BillingIntent, PlanChange
from gateway.errors import CardDeclined, Conflict, GatewayError, NoImmediateCharge, StripeRejected
from gateway.failpoints import Failpoint, failpoint
from gateway.json_types import Json
from gateway.services.intents.completion import Operation, perform
from gateway.services.intents.reservation import Kind, reserve
from gateway.services.mirror.refresh import is_replayed, merge_answer, read_answer, retrieve_all
from gateway.services.plan_changes.charge_check import find_customer_id
from gateway.services.plan_changes.leaving import UNANSWERED
from gateway.services.plan_changes.stripe_calls import (
    HELD_BACK,
    Step,
    count_spent_keys,
    lock_change,
    mark_key_spent,
)
from gateway.services.plan_changes.view import ChangeView, get_change
from gateway.services.runtime import Caller, Gateway
from gateway.services.subscription.billing_state import load_billing_state
from gateway.stripe_api.client import needs_action, stripe_call
from gateway.stripe_api.events import JsonObject
from gateway.stripe_api.snapshots import (
    Answer,
    InvoiceSnapshot,
    Seen,
    Snapshot,
    SubscriptionSnapshot,
    body_of,
)

AWAITS_CUSTOMER = frozenset({"requires_action", "requires_confirmation"})
PAYMENT_FAILED = frozenset({"requires_payment_method", "canceled"})
FINAL_STATUSES = frozenset({"void", "paid"})


def hold_back(gateway: Gateway, step: Step, error: GatewayError) -> bool:
    """Let the next call park the change until the cardholder approves. Return False if the error asks for nothing."""
    if step.is_held_back or not isinstance(error, CardDeclined) or not needs_action(error):
        return False
    with gateway.database.transaction() as session:
        change = lock_change(session, step.change_id)
        if count_spent_keys(change, step.name) == step.keys_spent:
            change.steps = {**change.steps, step.name: {**can_wait(step.params), "payment_behavior": HELD_BACK}}
            mark_key_spent(change, step.name)
    return True


def can_wait(params: Json) -> Json:
    """Return the parameters without the one that a pending update cannot hold and that changes no amount."""
    return {name: value for name, value in params.items() if name != "pending_invoice_item_interval"}


def refuse_unsafe_wait(gateway: Gateway, step: Step) -> None:
    """Raise NoImmediateCharge if the change cannot wait for its cardholder.

    The parked change's invoice takes the subscription's pending items and unbilled usage. If the payment never comes,
    Stripe voids the invoice, and they would be lost. A pending update can neither clear a scheduled end nor switch on
    automatic tax.
    """
    with gateway.database.reading() as session:
        change = session.get_one(PlanChange, step.change_id)
        billing = load_billing_state(session, change.organization_id, gateway.catalog)
        customer_id = find_customer_id(session, change) or ""
    cause = None
    if step.params.keys() & {"cancel_at", "cancel_at_period_end"}:
        cause = "the subscription is scheduled to end"
    elif "automatic_tax" in step.params:
        cause = "the taxes are not set up"
    elif billing.has_metered_usage:
        cause = "usage is not billed yet"
    elif has_pending_items(gateway, customer_id, step.subscription_id):
        cause = "earlier changes are not billed yet"
    if cause is not None:
        raise NoImmediateCharge(
            f"The card asks its holder to approve the payment, and the change cannot wait for that while {cause}. "
            "Please choose another payment method."
        )


def has_pending_items(gateway: Gateway, customer_id: str, subscription_id: str | None) -> bool:
    """Return whether items wait for the next invoice of the subscription. It may take those of no subscription too."""
    with stripe_call():
        items = gateway.stripe.v1.invoice_items.list({"customer": customer_id, "pending": True, "limit": 100})
        parents = [item.parent.subscription_details if item.parent else None for item in items.auto_paging_iter()]
    return any(parent is None or parent.subscription == subscription_id for parent in parents)


def read_step_answer(gateway: Gateway, step: Step, answer: Answer) -> list[Snapshot]:
    """Return the subscription in the answer, and the invoice that Stripe made for a change that is charged now.

    Without the invoice, the mirror could show it open until the webhook of its payment arrives. The next change would
    then be refused over an invoice that is paid.
    """
    states = read_answer(
        gateway, SubscriptionSnapshot, answer, cause=step.change_id, after_revision=step.after_revision
    )
    if (invoice := find_expanded_invoice(answer)) is None:
        return states
    if is_replayed(answer):
        return [*states, *retrieve_all(gateway, [(InvoiceSnapshot.kind, invoice["id"])])]
    return [*states, InvoiceSnapshot.read(invoice, Seen.in_answer(answer, cause=step.change_id))]


def find_expanded_invoice(answer: Answer) -> JsonObject | None:
    """Return the invoice that the answer to a change that is charged now contains, or None for any other answer."""
    invoice = body_of(answer).get("latest_invoice")
    return invoice if isinstance(invoice, Mapping) else None


def find_pending_invoice(gateway: Gateway, answer: Answer) -> Invoice | None:
    """Return the invoice whose payment the change waits for, or None."""
    invoice = find_expanded_invoice(answer) if body_of(answer).get("pending_update") is not None else None
    return cast("Invoice", gateway.stripe.deserialize(dict(invoice), api_mode="V1")) if invoice is not None else None


def resolve_payment(gateway: Gateway, change_id: str, invoice: Invoice) -> None:
    """Let the change wait if the customer must approve the payment. Cancel it if the card was declined.

    A waiting change is closed by the webhook of the payment, by ``abandon_change``, or by the completion job
    (``execute.finish_change``). Raise CardDeclined.
    """
    with stripe_call():
        intent = gateway.stripe.v1.payment_intents.retrieve(get_payment_intent_id(invoice))
    if intent.status in AWAITS_CUSTOMER:
        wait_for_customer(gateway, change_id, invoice, intent)
    elif intent.status in PAYMENT_FAILED and void_invoice(gateway, change_id, invoice.id):
        declined = intent.last_payment_error
        raise CardDeclined((declined and declined.message) or "The card was declined.")


def get_payment_intent_id(invoice: Invoice) -> str:
    """Return the id of the payment intent of an invoice with expanded payments. Raise StripeRejected."""
    payments = invoice.payments.data if invoice.payments is not None else []
    intent = payments[0].payment.payment_intent if payments else None
    if intent is None:
        raise StripeRejected("Stripe shows no payment for the invoice of a pending update.")
    return intent.id if isinstance(intent, PaymentIntent) else intent


def wait_for_customer(gateway: Gateway, change_id: str, invoice: Invoice, intent: PaymentIntent) -> None:
    """Store the secret that the customer's browser needs, unless a webhook has ended the pending update already."""
    with gateway.database.transaction() as session:
        change = lock_change(session, change_id)
        subscription = load_billing_state(session, change.organization_id, gateway.catalog).subscription
        pending = subscription is not None and subscription.pending_until is not None
        if change.state in UNANSWERED and pending:
            change.state, change.client_secret = "requires_action", intent.client_secret
            change.steps = {**change.steps, PENDING_INVOICE: {"id": invoice.id}}
    failpoint(Failpoint.PAYMENT_AWAITED)


def void_invoice(gateway: Gateway, change_id: str, invoice_id: str) -> bool:
    """Void the invoice, which discards the pending update. Return False if the invoice was paid first."""
    # Each try has its own key, because Stripe would replay a 500 under the same one. A second void does no harm.
    answer = void_or_retrieve(gateway, invoice_id, f"{change_id}:void_invoice:{uuid.uuid4().hex}")
    failpoint(Failpoint.INVOICE_VOIDED)
    merge_answer(gateway, InvoiceSnapshot, answer, cause=change_id)
    return answer.status == "void"


def void_or_retrieve(gateway: Gateway, invoice_id: str, key: str) -> Invoice:
    """Void the invoice under the idempotency key. Return the invoice, which is void or was paid first."""
    try:
        with stripe_call():
            return gateway.stripe.v1.invoices.void_invoice(invoice_id, options={"idempotency_key": key})
    except StripeRejected:  # the invoice is void or paid already
        with stripe_call():
            found = gateway.stripe.v1.invoices.retrieve(invoice_id)
        if found.status not in FINAL_STATUSES:
            raise
        return found


def abandon_change(gateway: Gateway, caller: Caller, change_id: str) -> ChangeView:
    """Cancel a change that waits for its customer. If the customer has paid first, the change is applied instead.

    The merge of the retrieved subscription closes the change (``plan_table/writer.close_changes``). Raise NotFound.
    Raise Conflict if the change does not wait for its payment. If Stripe does not answer (StripeUnavailable), the
    intent's job completes the cancellation.
    """
    get_change(gateway, caller, change_id)
    check = partial(refuse_unless_waiting, change_id)
    intent = reserve(gateway, caller.organization_id, Kind.ABANDON_CHANGE, change_id, check)
    if intent is not None:
        perform(gateway, ABANDONMENT, intent)
    return get_change(gateway, caller, change_id)


def refuse_unless_waiting(change_id: str, session: Session) -> bool:
    """Return True. Raise Conflict if the change does not wait for its payment."""
    if session.get_one(PlanChange, change_id, populate_existing=True).state != "requires_action":
        raise Conflict("Only a change that waits for its payment can be cancelled.")
    return True


def void_pending_invoice(gateway: Gateway, intent: BillingIntent) -> list[Snapshot]:
    """Void the invoice that the change waits for. Return the invoice and the subscription."""
    [(_, invoice_id), *subscription] = list_pending_objects(gateway, intent)
    # The prefix tells ``attribution`` which change caused Stripe's events.
    answer = void_or_retrieve(gateway, invoice_id, f"{intent.object_id}:void_invoice:{intent.id}")
    failpoint(Failpoint.INVOICE_VOIDED)
    states = read_answer(gateway, InvoiceSnapshot, answer, cause=intent.object_id)
    return [*states, *retrieve_all(gateway, subscription)]


def list_pending_objects(gateway: Gateway, intent: BillingIntent) -> list[tuple[str, str]]:
    """Return the invoice that the change waits for, and the subscription with the pending update."""
    with gateway.database.reading() as session:
        change = session.get_one(PlanChange, intent.object_id)
        subscription = load_billing_state(session, change.organization_id, gateway.catalog).subscription
    found = [(InvoiceSnapshot.kind, change.steps[PENDING_INVOICE]["id"])]
    return found if subscription is None else [*found, (SubscriptionSnapshot.kind, subscription.id)]


ABANDONMENT = Operation(call=void_pending_invoice, list_objects=list_pending_objects)
