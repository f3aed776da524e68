"""The payment method that Stripe charges: choosing it, and asking Stripe which one it is."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from sqlalchemy import select
from sqlalchemy.orm import Session
from stripe import Customer as StripeCustomer

from gateway.db.models import BillingIntent, OrganizationPlan, Plan, Subscription
from gateway.errors import CardExpired, NotFound
from gateway.services.customers.customer import Customer, find_customer
from gateway.services.customers.deletion import detect_deletion
from gateway.services.customers.payment_methods import (
    ListedPaymentMethod,
    is_detached,
    is_expired,
    refuse_more_than,
    retrieve_own,
    to_listed,
)
from gateway.services.intents.completion import Operation, perform
from gateway.services.intents.reservation import Kind, reserve
from gateway.services.mirror.charged_method import get_default, get_own
from gateway.services.mirror.refresh import is_replayed, load_revision, merge_snapshots, read_answer, retrieve
from gateway.services.rate_limits.table import MAX_PAYMENT_METHODS
from gateway.services.runtime import Caller, Gateway
from gateway.stripe_api.client import stripe_call
from gateway.stripe_api.events import JsonObject
from gateway.stripe_api.snapshots import ENDED, CustomerSnapshot, PaymentMethodSnapshot, Snapshot, SubscriptionSnapshot

# The parts of a customer that an answer must expand. ``subscriptions`` are those that have not ended.
DEFAULT, SUBSCRIPTIONS = "invoice_settings.default_payment_method", "subscriptions"


def set_default(gateway: Gateway, caller: Caller, payment_method_id: str) -> ListedPaymentMethod:
    """Make Stripe charge one of the organization's payment methods for the plan.

    Raise NotFound, CardExpired, CardDeclined, ChangeInProgress or TooManyPaymentMethods. If Stripe does not answer
    (StripeUnavailable), the intent's job completes the choice.
    """
    chosen = retrieve_own(gateway, caller, payment_method_id)
    if is_expired(chosen, gateway.clock()):
        raise CardExpired("The card has expired. Please choose another payment method.")
    check = partial(refuse_unusable, caller.organization_id, chosen.id)
    intent = reserve(gateway, caller.organization_id, Kind.SET_DEFAULT_PAYMENT_METHOD, chosen.id, check)
    if intent is not None:
        perform(gateway, DEFAULT_CHOICE, intent)
    return to_listed(chosen, chosen.id, gateway.clock())


def refuse_unusable(organization_id: str, payment_method_id: str, session: Session) -> bool:
    """Return True. Raise NotFound if the payment method was removed since the request looked it up.

    Raise TooManyPaymentMethods if more are on file than are possible. Setup intents that were created before the last
    one was added can attach more. None of them becomes the default until the others are removed.
    """
    if is_detached(session, payment_method_id):
        raise NotFound("There is no such payment method.")
    refuse_more_than(session, organization_id, MAX_PAYMENT_METHODS)
    return True


def choose_default(gateway: Gateway, intent: BillingIntent) -> list[Snapshot]:
    """Make the payment method the customer's default at Stripe, and that of each plan that names another one.

    Stripe charges what the subscription names before it looks at the customer. Checkout and the dashboard let the
    subscription name one. Return the customer, its default and the changed subscriptions.
    """
    customer = get_customer(gateway, intent)
    with detect_deletion(gateway, intent.organization_id), stripe_call():
        answer = gateway.stripe.v1.customers.update(
            customer.id,
            {
                "invoice_settings": {"default_payment_method": intent.object_id},
                "expand": [DEFAULT, SUBSCRIPTIONS],
            },
            {"idempotency_key": intent.id},
        )
    if is_replayed(answer):  # it shows the customer as of the first call
        answer = retrieve_customer(gateway, customer)
    states: list[Snapshot] = list(read_default(answer, customer, cause="default chosen"))
    for subscription_id in find_overriding(gateway, intent, answer):
        revision = load_revision(gateway, SubscriptionSnapshot.kind, subscription_id)
        with stripe_call():
            changed = gateway.stripe.v1.subscriptions.update(
                subscription_id,
                {"default_payment_method": intent.object_id},
                {"idempotency_key": f"{intent.id}:{subscription_id}"},
            )
        states += read_answer(gateway, SubscriptionSnapshot, changed, cause="default chosen", after_revision=revision)
    return states


def find_overriding(gateway: Gateway, intent: BillingIntent, customer: StripeCustomer) -> list[str]:
    """Return the ids of the customer's subscriptions to plans that name another payment method than the intent's."""
    with gateway.database.reading() as session:
        products = set(session.scalars(select(Plan.product_id).where(Plan.key.is_not(None))))
        current = session.get(OrganizationPlan, intent.organization_id)
    return [
        each["id"]
        for each in list_subscriptions(customer)
        if get_own(each) not in (None, intent.object_id)
        and (
            not products.isdisjoint(item["price"]["product"] for item in each["items"]["data"])
            or (current is not None and current.subscription_id == each["id"])
        )
    ]


def list_subscriptions(customer: StripeCustomer) -> Iterator[JsonObject]:
    """Yield the subscriptions of a customer that were expanded in its answer."""
    if "subscriptions" in customer and customer.subscriptions is not None:  # a deleted customer has none
        with stripe_call():  # a customer with many subscriptions has further pages
            for each in customer.subscriptions.auto_paging_iter():
                yield each.to_dict(for_json=True)


def get_customer(gateway: Gateway, intent: BillingIntent) -> Customer:
    """Return the customer of the intent's organization. Raise NotFound if it was deleted since."""
    if (customer := find_customer(gateway, intent.organization_id)) is None:
        raise NotFound("There is no such payment method.")
    return customer


def retrieve_customer(gateway: Gateway, customer: Customer) -> StripeCustomer:
    """Retrieve the customer from Stripe with its default payment method and its subscriptions."""
    with stripe_call():
        return gateway.stripe.v1.customers.retrieve(customer.id, {"expand": [DEFAULT, SUBSCRIPTIONS]})


def list_objects(gateway: Gateway, intent: BillingIntent) -> list[tuple[str, str]]:
    """Return the intent's payment method, and the customer and subscriptions that may name it."""
    found = [(PaymentMethodSnapshot.kind, intent.object_id)]
    if (customer := find_customer(gateway, intent.organization_id)) is not None:
        found.append((CustomerSnapshot.kind, customer.id))
    naming = select(Subscription.id).where(
        Subscription.organization_id == intent.organization_id,
        Subscription.status.not_in(ENDED),
        Subscription.default_payment_method_id.is_not(None),
    )
    with gateway.database.reading() as session:
        return found + [(SubscriptionSnapshot.kind, each) for each in session.scalars(naming)]


DEFAULT_CHOICE = Operation(call=choose_default, list_objects=list_objects)


def find_chargeable(gateway: Gateway, caller: Caller) -> str | None:
    """Return the id of the payment method that Stripe charges now, or None if there is none or it has expired.

    Call this only if the mirror has no usable payment method. A webhook can be late, and banks renew cards themselves.
    """
    if (customer := find_customer(gateway, caller.organization_id)) is None:
        return None
    with gateway.database.reading() as session:
        plan = session.get(OrganizationPlan, caller.organization_id)
    current = plan.subscription_id if plan is not None else None
    revision = load_revision(gateway, SubscriptionSnapshot.kind, current) if current is not None else None
    answer = retrieve_customer(gateway, customer)
    subscription = next((each for each in list_subscriptions(answer) if each["id"] == current), None)
    found, *default = read_default(answer, customer, cause="payment method looked up")
    states: list[Snapshot] = [found, *default]
    if subscription is not None:
        states.append(SubscriptionSnapshot.read(subscription, replace(found.seen, after_revision=revision)))
    charged_id = (subscription and get_own(subscription)) or get_default(found)
    charged: Snapshot | None = next((each for each in default if each.id == charged_id), None)
    if charged_id is not None and charged is None:
        charged = retrieve(gateway, PaymentMethodSnapshot.kind, charged_id)
        states += [charged] if charged is not None else []
    merge_snapshots(gateway, *states)
    usable = isinstance(charged, PaymentMethodSnapshot) and not is_expired(charged, gateway.clock())
    return charged_id if usable else None


def read_default(
    answer: StripeCustomer, customer: Customer, *, cause: str
) -> tuple[CustomerSnapshot, *tuple[PaymentMethodSnapshot, ...]]:
    """Return the customer in an answer, followed by the payment method of its invoice settings, which is expanded."""
    found = CustomerSnapshot.from_answer(answer, cause=cause, after_revision=customer.revision)
    if found.default_payment_method_id is None:
        return (found,)
    default = answer.to_dict(for_json=True)["invoice_settings"]["default_payment_method"]
    return found, PaymentMethodSnapshot.read(default, replace(found.seen, after_revision=None))
