"""Removing a payment method. One that Stripe still charges for something stays."""

from sqlalchemy import select
from sqlalchemy.orm import Session
from stripe import Customer as StripeCustomer
from stripe import Subscription

from gateway.db.models import BillingIntent, Invoice, OrganizationPlan, PaymentMethod
from gateway.errors import DefaultPaymentMethod, NotFound, PaymentMethodInUse, StripeRejected
from gateway.services.customers.amounts import format_amount
from gateway.services.customers.customer import Customer
from gateway.services.customers.deletion import detect_deletion, refuse_if_deleted
from gateway.services.customers.payment_methods import (
    PAYMENT_METHOD_ID,
    get_customer,
    is_detached,
    is_expired,
    list_card_objects,
    retrieve_own_card,
)
from gateway.services.intents.completion import Operation, perform
from gateway.services.intents.reservation import Kind, reserve
from gateway.services.mirror.refresh import merge_snapshots, read_answer
from gateway.services.mirror.refresh_jobs import defer_refresh
from gateway.services.plan_table.selection import FREE
from gateway.services.runtime import Caller, Gateway
from gateway.stripe_api.client import nothing_upcoming, stripe_call
from gateway.stripe_api.snapshots import CustomerSnapshot, InvoiceSnapshot, PaymentMethodSnapshot, Snapshot, id_of
from gateway.stripe_api.times import from_unix

OWED = ("draft", "open", "uncollectible")


def delete_card(gateway: Gateway, caller: Caller, payment_method_id: str) -> None:
    """Detach a card. Do nothing if it was already detached.

    Raise NotFound, ChangeInProgress, DefaultPaymentMethod for the card that pays for a plan, or PaymentMethodInUse for
    one that is needed otherwise. If Stripe does not answer (StripeUnavailable), the intent's job removes the card.
    """
    try:
        card = retrieve_own_card(gateway, caller, payment_method_id)
    except NotFound:
        if was_on_file(gateway, caller, payment_method_id):
            return
        raise
    # Stripe's answer for a detached card does not name the customer. Without the card's row, the merge would drop the
    # answer, and an upgrade that has just looked the card up would rely on it.
    merge_snapshots(gateway, card)

    def is_on_file(session: Session) -> bool:
        return not is_detached(session, payment_method_id)

    kind = Kind.DELETE_PAYMENT_METHOD
    if (intent := reserve(gateway, caller.organization_id, kind, payment_method_id, is_on_file)) is None:
        return  # a concurrent request detached it
    try:
        perform(gateway, REMOVAL, intent)
    except (NotFound, StripeRejected):
        with gateway.database.reading() as session:
            if is_on_file(session):
                raise  # otherwise it was detached at Stripe since the request looked it up


def detach_card(gateway: Gateway, intent: BillingIntent) -> list[Snapshot]:
    """Detach the card at Stripe if nothing needs it. Return the card and the customer.

    The checks ask Stripe. The intent keeps every other operation of the organization away until they are over.
    """
    customer = get_customer(gateway, intent)
    refuse_needed(gateway, intent, customer)
    with detect_deletion(gateway, intent.organization_id), stripe_call():
        answer = gateway.stripe.v1.payment_methods.detach(intent.object_id, {}, {"idempotency_key": intent.id})
    detached = read_answer(gateway, PaymentMethodSnapshot, answer, cause="card deleted")
    # Stripe clears a detached default. If the mirror learned this late, the gateway could accept an upgrade on it.
    current = retrieve_customer(gateway, intent.organization_id, customer)
    return [*detached, CustomerSnapshot.from_answer(current, cause="card deleted", after_revision=customer.revision)]


REMOVAL = Operation(call=detach_card, list_objects=list_card_objects)


def refuse_needed(gateway: Gateway, intent: BillingIntent, customer: Customer) -> None:
    """Raise DefaultPaymentMethod or PaymentMethodInUse if Stripe charges the card for something.

    Stripe charges a subscription's own payment method, or else the customer's default.
    """
    default = find_default(retrieve_customer(gateway, intent.organization_id, customer))
    with stripe_call():
        subscriptions = gateway.stripe.v1.subscriptions.list({"customer": customer.id, "limit": 100}).data
    charging = [each for each in subscriptions if (get_own_method(each) or default) == intent.object_id]
    with gateway.database.reading() as session:
        plan = session.get(OrganizationPlan, intent.organization_id)
    is_charged = default == intent.object_id or bool(charging)
    if plan is not None and plan.requested_plan != FREE:
        if is_charged:
            raise DefaultPaymentMethod(
                "The default card pays for the plan. Please make another card the default first."
            )
        refuse_last(gateway, intent, customer)
    if is_charged:
        refuse_owing(gateway, intent, customer)
        for subscription in charging:
            refuse_upcoming(gateway, subscription)


def refuse_last(gateway: Gateway, intent: BillingIntent, customer: Customer) -> None:
    """Raise PaymentMethodInUse if the customer has no other payment method that can be charged."""
    with stripe_call():
        page = gateway.stripe.v1.customers.payment_methods.list(customer.id, {"limit": 100})
    on_file = PaymentMethodSnapshot.from_list(page, cause="cards listed")
    others = [each for each in on_file if each.id != intent.object_id and not is_expired(each, gateway.clock())]
    if not others and any(each.id == intent.object_id for each in on_file):
        raise PaymentMethodInUse("It is the only payment method of a paid plan. Please add another one first.")


def refuse_owing(gateway: Gateway, intent: BillingIntent, customer: Customer) -> None:
    """Raise PaymentMethodInUse if money is owed on an invoice. The mirror may lack the newest ones, so ask Stripe."""
    with stripe_call():
        page = gateway.stripe.v1.invoices.list({"customer": customer.id, "limit": 100})
    merge_snapshots(gateway, *InvoiceSnapshot.from_list(page, cause="invoices listed"))
    query = select(Invoice).where(
        Invoice.organization_id == intent.organization_id, Invoice.status.in_(OWED), Invoice.amount_remaining > 0
    )
    with gateway.database.reading() as session:
        owed = session.scalars(query.order_by(Invoice.created).limit(1)).one_or_none()
    if owed is not None:
        raise PaymentMethodInUse(
            f"The payment method is needed for the invoice {owed.number or owed.id}. "
            f"{format_amount(owed.amount_remaining, owed.currency)} is unpaid.",
            invoice=owed.id,
            amount=owed.amount_remaining,
            currency=owed.currency,
        )


def refuse_upcoming(gateway: Gateway, subscription: Subscription) -> None:
    """Raise PaymentMethodInUse if the next invoice charges something, such as pending items or unbilled usage."""
    try:
        with stripe_call():
            upcoming = gateway.stripe.v1.invoices.create_preview({"subscription": subscription.id})
    except StripeRejected as error:
        if nothing_upcoming(error):
            return
        raise
    if upcoming.amount_due > 0:
        billing_date = f"{from_unix(upcoming.period_end):%Y-%m-%dT%H:%M:%SZ}"
        raise PaymentMethodInUse(
            f"The payment method is needed for the invoice of {billing_date[:10]}. "
            f"{format_amount(upcoming.amount_due, upcoming.currency)} will be due then.",
            billing_date=billing_date,
            amount=upcoming.amount_due,
            currency=upcoming.currency,
        )


def find_default(customer: StripeCustomer) -> str | None:
    """Return the payment method that Stripe charges for a subscription without one of its own."""
    fields = customer.to_dict(for_json=True)
    return id_of(fields["invoice_settings"]["default_payment_method"]) or id_of(fields["default_source"])


def get_own_method(subscription: Subscription) -> str | None:
    """Return the payment method that Stripe charges for this subscription before the customer's default."""
    return id_of(subscription.to_dict(for_json=True)["default_payment_method"])


def retrieve_customer(gateway: Gateway, organization_id: str, customer: Customer) -> StripeCustomer:
    """Retrieve the customer from Stripe. Raise ContactSalesRequired if it was deleted."""
    with detect_deletion(gateway, organization_id), stripe_call():
        answer = gateway.stripe.v1.customers.retrieve(customer.id)
    refuse_if_deleted(gateway, CustomerSnapshot.from_answer(answer, cause="card deleted"))
    return answer


def was_on_file(gateway: Gateway, caller: Caller, payment_method_id: str) -> bool:
    """Return whether the customer once had a card that Stripe says it does not have.

    If the mirror still shows the card as attached, queue its refresh. ``mirror.refresh`` then updates the mirror.
    """
    if not PAYMENT_METHOD_ID.match(payment_method_id):
        return False
    with gateway.database.transaction() as session:
        card = session.get(PaymentMethod, payment_method_id)
        if card is None or card.organization_id != caller.organization_id:
            return False
        if not card.detached:
            defer_refresh(session, PaymentMethodSnapshot.kind, card.id)
        return True
