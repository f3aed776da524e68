"""Removing a payment method. One that Stripe still charges for something stays."""

from sqlalchemy import select
from sqlalchemy.orm import Session
from stripe import Subscription

from gateway.db.models import BillingIntent, Invoice, OrganizationPlan, PaymentMethod
from gateway.errors import DefaultPaymentMethod, NotFound, PaymentMethodInUse, StripeRejected
from gateway.services.customers.amounts import format_amount
from gateway.services.customers.customer import Customer
from gateway.services.customers.default_method import get_customer, list_objects
from gateway.services.customers.deletion import detect_deletion, refuse_if_deleted
from gateway.services.customers.payment_methods import PAYMENT_METHOD_ID_PATTERN, is_detached, is_expired, retrieve_own
from gateway.services.intents.completion import Operation, perform
from gateway.services.intents.reservation import Kind, reserve
from gateway.services.mirror.charged_method import get_default, get_own
from gateway.services.mirror.refresh import merge_snapshots, read_answer, retrieve_all
from gateway.services.mirror.refresh_jobs import defer_refresh
from gateway.services.runtime import Caller, Gateway
from gateway.stripe_api.client import is_nothing_upcoming, stripe_call
from gateway.stripe_api.snapshots import (
    CustomerSnapshot,
    InvoiceSnapshot,
    PaymentMethodSnapshot,
    Snapshot,
    SubscriptionSnapshot,
)
from gateway.stripe_api.times import from_unix

OWED = ("draft", "open", "uncollectible")


def delete_payment_method(gateway: Gateway, caller: Caller, payment_method_id: str) -> None:
    """Detach a payment method. Do nothing if it was already detached.

    Raise DefaultPaymentMethod if it pays for a plan, PaymentMethodInUse if it is needed otherwise, and NotFound and
    ChangeInProgress. If Stripe does not answer (StripeUnavailable), the intent's job removes it.
    """
    try:
        found = retrieve_own(gateway, caller, payment_method_id)
    except NotFound:
        if was_on_file(gateway, caller, payment_method_id):
            return
        raise
    # Stripe's answer for a detached payment method does not name the customer. Without its row, the merge would drop
    # the answer, and an upgrade that has just looked the payment method up would rely on it.
    merge_snapshots(gateway, found)

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


def detach(gateway: Gateway, intent: BillingIntent) -> list[Snapshot]:
    """Detach the payment method at Stripe if nothing needs it. Return it and the objects that named it.

    The checks ask Stripe. The intent keeps every other operation of the organization away until Stripe has answered.
    """
    customer = get_customer(gateway, intent)
    naming = refuse_needed(gateway, intent, customer)
    with detect_deletion(gateway, intent.organization_id), stripe_call():
        answer = gateway.stripe.v1.payment_methods.detach(intent.object_id, {}, {"idempotency_key": intent.id})
    detached = read_answer(gateway, PaymentMethodSnapshot, answer, cause="payment method deleted")
    # Stripe clears a detached default. If the mirror learned this late, the gateway could accept an upgrade on it.
    current = retrieve_customer(gateway, intent.organization_id, customer)
    return [*detached, current, *retrieve_all(gateway, [(SubscriptionSnapshot.kind, each) for each in naming])]


REMOVAL = Operation(call=detach, list_objects=list_objects)


def refuse_needed(gateway: Gateway, intent: BillingIntent, customer: Customer) -> list[str]:
    """Raise DefaultPaymentMethod or PaymentMethodInUse if Stripe charges the payment method for something.

    Stripe charges a subscription's own payment method, or else the customer's default. Return the ids of the
    subscriptions that name it.
    """
    default = get_default(retrieve_customer(gateway, intent.organization_id, customer))
    with stripe_call():
        subscriptions = gateway.stripe.v1.subscriptions.list({"customer": customer.id, "limit": 100}).data
    own = {each.id: get_own(each.to_dict(for_json=True)) for each in subscriptions}
    charging = [each for each in subscriptions if (own[each.id] or default) == intent.object_id]
    with gateway.database.reading() as session:
        plan = session.get(OrganizationPlan, intent.organization_id)
    is_charged = default == intent.object_id or bool(charging)
    if plan is not None and plan.requested_plan != gateway.catalog.floor.key:
        if is_charged:
            raise DefaultPaymentMethod(
                "This payment method pays for the plan. Please make another one the default first."
            )
        refuse_last(gateway, intent, customer)
    if is_charged:
        refuse_owing(gateway, intent, customer)
        for subscription in charging:
            refuse_upcoming(gateway, subscription)
    return [each for each, method in own.items() if method == intent.object_id]


def refuse_last(gateway: Gateway, intent: BillingIntent, customer: Customer) -> None:
    """Raise PaymentMethodInUse if the customer has no other payment method that can be charged."""
    with stripe_call():
        page = gateway.stripe.v1.customers.payment_methods.list(customer.id, {"limit": 100})
    on_file = PaymentMethodSnapshot.from_list(page, cause="payment methods listed")
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
        if is_nothing_upcoming(error):
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


def retrieve_customer(gateway: Gateway, organization_id: str, customer: Customer) -> CustomerSnapshot:
    """Retrieve the customer from Stripe. Raise ContactSalesRequired if it was deleted."""
    with detect_deletion(gateway, organization_id), stripe_call():
        answer = gateway.stripe.v1.customers.retrieve(customer.id)
    found = CustomerSnapshot.from_answer(answer, cause="payment method deleted", after_revision=customer.revision)
    refuse_if_deleted(gateway, found)
    return found


def was_on_file(gateway: Gateway, caller: Caller, payment_method_id: str) -> bool:
    """Return whether the customer once had a payment method that Stripe says it does not have.

    If the mirror still shows it as attached, queue its refresh. ``mirror.refresh`` then updates the mirror.
    """
    if not PAYMENT_METHOD_ID_PATTERN.fullmatch(payment_method_id):
        return False
    with gateway.database.transaction() as session:
        found = session.get(PaymentMethod, payment_method_id)
        if found is None or found.organization_id != caller.organization_id:
            return False
        if not found.detached:
            defer_refresh(session, PaymentMethodSnapshot.kind, found.id)
        return True
