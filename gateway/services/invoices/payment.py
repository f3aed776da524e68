"""Pay an unpaid invoice."""

from functools import partial
from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.orm import Session

from gateway.db.models import IS_OPEN, UNPAID, BillingIntent, Invoice, PlanChange
from gateway.errors import (
    CardDeclined,
    InvoiceNotOpen,
    NotFound,
    PaymentActionRequired,
    PaymentMethodRequired,
    StripeRejected,
)
from gateway.services.intents.completion import Operation, perform
from gateway.services.intents.reservation import Kind, reserve
from gateway.services.invoices.listing import get_invoice
from gateway.services.mirror.refresh import read_answer, retrieve_all
from gateway.services.plan_table.attribution import PAYMENT_KEY_PREFIX
from gateway.services.rate_limits.card_testing import refuse_after_declines
from gateway.services.runtime import Caller, Gateway
from gateway.stripe_api.client import needs_action, refuses, stripe_call
from gateway.stripe_api.snapshots import InvoiceSnapshot, Snapshot, SubscriptionSnapshot

if TYPE_CHECKING:
    from stripe.params import InvoicePayParams

PAYABLE = (*UNPAID, "draft")
"""The statuses in which a visible invoice can be paid. A visible draft is one that Stripe no longer finalizes."""


def pay_invoice(gateway: Gateway, caller: Caller, invoice_id: str) -> Invoice:
    """Charge an unpaid invoice to the default payment method and return it. Return a paid invoice as it is.

    Raise NotFound, InvoiceNotOpen, ChangeInProgress, PaymentMethodRequired, CardDeclined, PaymentActionRequired or
    StripeUnavailable. Raise RateLimited after too many declines.

    After StripeUnavailable the gateway does not know whether Stripe charged it. The intent's job finds out, and
    repeating the request is safe, because Stripe never charges a paid invoice. After PaymentActionRequired the customer
    approves the payment on Stripe's page, and ``webhooks.drain.drain_batch`` merges the webhook of the paid invoice.
    """
    invoice = get_invoice(gateway, caller, invoice_id)
    if invoice.status in PAYABLE:
        check = partial(is_payable, invoice.id)
        try:
            with refuse_after_declines(gateway, caller.organization_id):
                intent = reserve(gateway, caller.organization_id, Kind.PAY_INVOICE, invoice.id, check)
                if intent is not None:
                    perform(gateway, PAYMENT, intent)
        except StripeRejected:  # the mirror was out of date, if the invoice was paid a moment ago
            if get_invoice(gateway, caller, invoice_id).status in PAYABLE:
                raise
        invoice = get_invoice(gateway, caller, invoice_id)
    if invoice.status != "paid":
        raise InvoiceNotOpen("There is nothing to pay on this invoice.")
    return invoice


def is_payable(invoice_id: str, session: Session) -> bool:
    """Return whether the invoice can still be paid. A concurrent request may have paid it.

    Raise InvoiceNotOpen while a payment is in progress, because Stripe would refuse another one.
    """
    query = select(Invoice.status, Invoice.payment_under_way).where(Invoice.id == invoice_id)
    status, is_under_way = session.execute(query).one()
    if is_under_way:
        raise InvoiceNotOpen("A payment of this invoice is under way.")
    return status in PAYABLE


def charge_invoice(gateway: Gateway, intent: BillingIntent) -> list[Snapshot]:
    """Charge the invoice at Stripe, and finalize it before if it is a draft.

    Return the invoice, and the subscription if a plan change waits for the payment.

    The call names the payment method that Plan Details showed when the intent was committed. The invoice, or another
    subscription that it belongs to, may name another one. The person who may have to approve the payment is present.
    Raise CardDeclined, PaymentActionRequired, or PaymentMethodRequired if the payment method was removed at Stripe.
    """
    params: InvoicePayParams = {"off_session": False}
    if intent.payment_method_id is not None:
        params["payment_method"] = intent.payment_method_id
    with gateway.database.reading() as session:
        invoice = session.get_one(Invoice, intent.object_id)
    # The prefix tells ``attribution`` that a user paid, because Stripe's events contain the key.
    key = f"{PAYMENT_KEY_PREFIX}{invoice.id}:{intent.id}"
    hosted_invoice_url = invoice.hosted_invoice_url
    try:
        with stripe_call():
            if invoice.status == "draft":
                # Stripe would finalize it by itself, but the customer may need its page to approve the payment.
                opened = gateway.stripe.v1.invoices.finalize_invoice(
                    invoice.id, {"auto_advance": False}, {"idempotency_key": f"{key}:finalize"}
                )
                hosted_invoice_url = opened.hosted_invoice_url
            answer = gateway.stripe.v1.invoices.pay(invoice.id, params, {"idempotency_key": key})
    except CardDeclined as error:
        if needs_action(error):
            raise PaymentActionRequired(
                "The payment needs the cardholder's approval first.", hosted_invoice_url=hosted_invoice_url
            ) from error
        raise
    except (NotFound, StripeRejected) as error:
        if refuses(error, "payment_method"):
            raise PaymentMethodRequired(
                "The payment method is no longer on file. Please choose another one."
            ) from error
        raise
    states = read_answer(gateway, InvoiceSnapshot, answer, cause="invoice paid", after_revision=invoice.revision)
    _, *subscription = list_objects(gateway, intent)
    return [*states, *retrieve_all(gateway, subscription)]


def list_objects(gateway: Gateway, intent: BillingIntent) -> list[tuple[str, str]]:
    """Return the invoice, and its subscription if a plan change waits for the payment.

    The merge of the subscription ends that change. Otherwise the next change would be refused until a webhook arrives.
    """
    with gateway.database.reading() as session:
        invoice = session.get_one(Invoice, intent.object_id)
        query = select(PlanChange).where(PlanChange.organization_id == intent.organization_id, IS_OPEN)
        awaited = {change.pending_invoice_id for change in session.scalars(query)}
    found = [(InvoiceSnapshot.kind, invoice.id)]
    if invoice.id not in awaited or invoice.subscription_id is None:
        return found
    return [*found, (SubscriptionSnapshot.kind, invoice.subscription_id)]


PAYMENT = Operation(call=charge_invoice, list_objects=list_objects)
