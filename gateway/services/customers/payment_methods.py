"""The payment methods on file, of every type. Stripe stores them.

The gateway changes a payment method only after Stripe has confirmed whose it is.
"""

import re
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import bindparam, func, select
from sqlalchemy.orm import Session

from gateway.db.models import PaymentMethod
from gateway.errors import NotFound, TooManyPaymentMethods
from gateway.services.customers.customer import ensure_customer, find_customer
from gateway.services.customers.deletion import detect_deletion
from gateway.services.intents.reservation import refuse_sales_plan
from gateway.services.mirror.charged_method import find_charged_method
from gateway.services.mirror.refresh import merge_snapshots
from gateway.services.rate_limits.table import MAX_PAYMENT_METHODS
from gateway.services.runtime import Caller, Gateway
from gateway.stripe_api.client import stripe_call
from gateway.stripe_api.snapshots import ORGANIZATION_ID_KEY, PaymentMethodSnapshot

PAYMENT_METHOD_ID_PATTERN = re.compile(r"[A-Za-z0-9_]{1,255}")
COUNT_ON_FILE = select(func.count()).where(
    PaymentMethod.organization_id == bindparam("organization_id"), PaymentMethod.detached.is_(False)
)


@dataclass(frozen=True, kw_only=True)
class ShownPaymentMethod:
    """A payment method as a person recognizes it."""

    id: str
    type: str
    label: str
    brand: str | None
    last4: str | None
    exp_month: int | None
    exp_year: int | None


@dataclass(frozen=True, kw_only=True)
class ListedPaymentMethod(ShownPaymentMethod):
    """A payment method in the list of all that are on file."""

    is_default: bool
    is_expired: bool


@dataclass(frozen=True, kw_only=True)
class SetupIntent:
    """The values that Stripe.js needs to collect a payment method in the browser."""

    client_secret: str = field(repr=False)
    publishable_key: str


def create_setup_intent(gateway: Gateway, caller: Caller) -> SetupIntent:
    """Create the setup intent with which a browser collects a payment method, of any type that the account offers.

    Its secret is for this organization alone. Stripe attaches the payment method when the browser confirms it.
    ``list_payment_methods`` or the webhook, through ``webhooks.drain.drain_batch``, then brings it into the mirror.

    Raise TooManyPaymentMethods if the mirror already has ``MAX_PAYMENT_METHODS``, and ContactSalesRequired if sales
    manages the plan.
    """
    refuse_new_method(gateway, caller)
    customer_id = ensure_customer(gateway, caller)
    with detect_deletion(gateway, caller.organization_id), stripe_call():
        intent = gateway.stripe.v1.setup_intents.create(
            {
                "customer": customer_id,
                "usage": "off_session",
                "metadata": {ORGANIZATION_ID_KEY: caller.organization_id},  # tells whose setup intent it is
            }
        )
    return SetupIntent(client_secret=intent.client_secret or "", publishable_key=gateway.config.stripe_publishable_key)


def refuse_new_method(gateway: Gateway, caller: Caller) -> None:
    """Raise ContactSalesRequired if sales manages the plan.

    Raise TooManyPaymentMethods if the organization has as many on file as it may have.

    A webhook may be late, so the mirror may lack payment methods. The rate limit on new cards bounds how many.
    """
    with gateway.database.reading() as session:
        refuse_sales_plan(session, gateway.catalog, caller.organization_id)
        refuse_more_than(session, caller.organization_id, MAX_PAYMENT_METHODS - 1)


def refuse_more_than(session: Session, organization_id: str, number: int) -> None:
    """Raise TooManyPaymentMethods if the organization has more than ``number`` on file."""
    if session.scalars(COUNT_ON_FILE, {"organization_id": organization_id}).one() > number:
        raise TooManyPaymentMethods(
            f"At most {MAX_PAYMENT_METHODS} payment methods can be on file. Please remove one first."
        )


def list_payment_methods(gateway: Gateway, caller: Caller) -> list[ListedPaymentMethod]:
    """Return the payment methods that Stripe has on file now, of every type.

    The mirror may not have one that was just added, because its webhook can be late.
    """
    if (customer := find_customer(gateway, caller.organization_id)) is None:
        return []
    with detect_deletion(gateway, caller.organization_id), stripe_call():
        page = gateway.stripe.v1.customers.payment_methods.list(customer.id, {"limit": 100})
    on_file = PaymentMethodSnapshot.from_list(page, cause="payment methods listed")
    merge_snapshots(gateway, *on_file)
    with gateway.database.reading() as session:
        charged = find_charged_method(session, caller.organization_id)
    charged_id = charged.id if charged is not None else None
    return [to_listed(each, charged_id, gateway.clock()) for each in on_file]


def is_attached(session: Session, payment_method_id: str | None) -> bool:
    """Return whether there is such a payment method and the mirror does not know that it was removed."""
    return payment_method_id is not None and not is_detached(session, payment_method_id)


def is_detached(session: Session, payment_method_id: str) -> bool:
    """Return whether the mirror knows that the payment method was removed."""
    return bool(session.scalar(select(PaymentMethod.detached).where(PaymentMethod.id == payment_method_id)))


def is_usable(found: PaymentMethod | None, now: datetime) -> bool:
    """Return whether there is a payment method and the mirror knows no reason why it could not be charged."""
    return found is not None and not is_expired(found, now)


def retrieve_own(gateway: Gateway, caller: Caller, payment_method_id: str) -> PaymentMethodSnapshot:
    """Return the caller's payment method as Stripe has it. Raise NotFound for any other."""
    customer = find_customer(gateway, caller.organization_id)
    if customer is None or not PAYMENT_METHOD_ID_PATTERN.fullmatch(payment_method_id):
        raise NotFound("There is no such payment method.")
    with detect_deletion(gateway, caller.organization_id), stripe_call():
        answer = gateway.stripe.v1.customers.payment_methods.retrieve(customer.id, payment_method_id)
    return PaymentMethodSnapshot.from_answer(answer, cause="payment method looked up")


def is_expired(found: PaymentMethodSnapshot | PaymentMethod, now: datetime) -> bool:
    """Return whether a card's last month is over. Other types do not expire."""
    if found.exp_year is None or found.exp_month is None:
        return False
    return (found.exp_year, found.exp_month) < (now.year, now.month)


def to_shown(found: PaymentMethodSnapshot | PaymentMethod) -> ShownPaymentMethod:
    """Convert a payment method to what a person recognizes."""
    return ShownPaymentMethod(
        id=found.id,
        type=found.type,
        label=found.label,
        brand=found.brand,
        last4=found.last4,
        exp_month=found.exp_month,
        exp_year=found.exp_year,
    )


def to_listed(found: PaymentMethodSnapshot, charged_id: str | None, now: datetime) -> ListedPaymentMethod:
    """Convert a payment method to an entry of the list. The default is the one that Stripe charges for the plan."""
    return ListedPaymentMethod(
        **vars(to_shown(found)), is_default=found.id == charged_id, is_expired=is_expired(found, now)
    )
