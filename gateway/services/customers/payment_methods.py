"""The cards on file. Stripe stores them. The gateway changes a card only after Stripe has confirmed whose it is."""

import re
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from sqlalchemy import bindparam, func, select
from sqlalchemy.orm import Session
from stripe import Customer as StripeCustomer

from gateway.db.models import BillingIntent, PaymentMethod
from gateway.errors import CardExpired, NotFound, TooManyPaymentMethods
from gateway.services.customers.customer import Customer, ensure_customer, find_customer
from gateway.services.customers.deletion import detect_deletion
from gateway.services.intents.completion import Operation, perform
from gateway.services.intents.reservation import Kind, reserve
from gateway.services.mirror.refresh import is_replayed, merge_snapshots, retrieve_all
from gateway.services.rate_limits.table import MAX_CARDS
from gateway.services.runtime import Caller, Gateway
from gateway.stripe_api.client import stripe_call
from gateway.stripe_api.snapshots import CustomerSnapshot, PaymentMethodSnapshot, Snapshot

PAYMENT_METHOD_ID = re.compile(r"\A[A-Za-z0-9_]{1,255}\Z")
DEFAULT = "invoice_settings.default_payment_method"  # the part of a customer that an answer must expand
COUNT_CARDS = select(func.count()).where(
    PaymentMethod.organization_id == bindparam("organization_id"), PaymentMethod.detached.is_(False)
)


@dataclass(frozen=True, kw_only=True)
class Card:
    """A card as a person recognizes it."""

    id: str
    brand: str | None
    last4: str | None
    exp_month: int | None
    exp_year: int | None


@dataclass(frozen=True, kw_only=True)
class ListedCard(Card):
    """A card in the list of all cards on file."""

    is_default: bool
    is_expired: bool


@dataclass(frozen=True, kw_only=True)
class SetupIntent:
    """The values that Stripe.js needs to collect a card in the browser."""

    client_secret: str
    publishable_key: str


def create_setup_intent(gateway: Gateway, caller: Caller) -> SetupIntent:
    """Create the setup intent with which a browser collects a card. Its secret is for this organization alone.

    Stripe attaches the card when the browser confirms it. ``list_cards`` or the card's webhook, through
    ``webhooks.drain.drain``, then brings the card into the mirror.

    Raise TooManyPaymentMethods if the mirror already has ``MAX_CARDS`` cards.
    """
    refuse_too_many_cards(gateway, caller)
    customer_id = ensure_customer(gateway, caller)
    with detect_deletion(gateway, caller.organization_id), stripe_call():
        intent = gateway.stripe.v1.setup_intents.create(
            {"customer": customer_id, "usage": "off_session", "allowed_payment_method_types": ["card"]}
        )
    return SetupIntent(client_secret=intent.client_secret or "", publishable_key=gateway.config.stripe_publishable_key)


def refuse_too_many_cards(gateway: Gateway, caller: Caller) -> None:
    """Raise TooManyPaymentMethods if the organization has as many cards on file as it may have.

    A card's webhook may be late, so the mirror may lack a card. The limit on new cards bounds how many it can lack.
    """
    with gateway.database.reading() as session:
        cards = session.scalars(COUNT_CARDS, {"organization_id": caller.organization_id}).one()
    if cards >= MAX_CARDS:
        raise TooManyPaymentMethods(f"At most {MAX_CARDS} cards can be on file. Please remove one first.")


def list_cards(gateway: Gateway, caller: Caller) -> list[ListedCard]:
    """Return the cards that Stripe has on file now.

    The mirror may not have a card that was just added, because its webhook can be late.
    """
    if (customer := find_customer(gateway, caller.organization_id)) is None:
        return []
    with detect_deletion(gateway, caller.organization_id), stripe_call():
        page = gateway.stripe.v1.customers.payment_methods.list(customer.id, {"type": "card", "limit": 100})
    cards = PaymentMethodSnapshot.from_list(page, cause="cards listed")
    merge_snapshots(gateway, *cards)
    return [to_listed_card(each, customer.default_card_id, gateway.clock()) for each in cards]


def set_default(gateway: Gateway, caller: Caller, payment_method_id: str) -> ListedCard:
    """Make one of the organization's cards the default. Raise NotFound, CardExpired, CardDeclined or ChangeInProgress.

    If Stripe does not answer (StripeUnavailable), the intent's job makes the card the default.
    """
    card = retrieve_own_card(gateway, caller, payment_method_id)
    if is_expired(card, gateway.clock()):
        raise CardExpired("The card has expired. Please choose another one.")
    check = partial(refuse_detached, card.id)
    intent = reserve(gateway, caller.organization_id, Kind.SET_DEFAULT_PAYMENT_METHOD, card.id, check)
    if intent is not None:
        perform(gateway, DEFAULT_CHOICE, intent)
    return to_listed_card(card, card.id, gateway.clock())


def refuse_detached(card_id: str, session: Session) -> bool:
    """Return True. Raise NotFound if the card was removed since the request looked it up."""
    if is_detached(session, card_id):
        raise NotFound("There is no such payment method.")
    return True


def choose_default(gateway: Gateway, intent: BillingIntent) -> list[Snapshot]:
    """Make the card the default at Stripe. Return the customer and the card."""
    customer = get_customer(gateway, intent)
    with detect_deletion(gateway, intent.organization_id), stripe_call():
        answer = gateway.stripe.v1.customers.update(
            customer.id,
            {"invoice_settings": {"default_payment_method": intent.object_id}, "expand": [DEFAULT]},
            {"idempotency_key": intent.id},
        )
    if is_replayed(answer):
        return retrieve_all(gateway, list_card_objects(gateway, intent))
    return list(read_default(answer, customer, cause="card chosen"))


def get_customer(gateway: Gateway, intent: BillingIntent) -> Customer:
    """Return the customer of the intent's organization. Raise NotFound if it was deleted since."""
    if (customer := find_customer(gateway, intent.organization_id)) is None:
        raise NotFound("There is no such payment method.")
    return customer


def list_card_objects(gateway: Gateway, intent: BillingIntent) -> list[tuple[str, str]]:
    """Return the intent's card, and its customer, which names the default card."""
    customer = find_customer(gateway, intent.organization_id)
    card = (PaymentMethodSnapshot.kind, intent.object_id)
    return [card] if customer is None else [card, (CustomerSnapshot.kind, customer.id)]


DEFAULT_CHOICE = Operation(call=choose_default, list_objects=list_card_objects)


def find_usable_default_card(gateway: Gateway, caller: Caller) -> str | None:
    """Return the id of the default card that Stripe has now, or None if there is none or it has expired.

    Call this only if the mirror has no usable card. Its webhook can be late, and banks renew cards on their own.
    """
    if (customer := find_customer(gateway, caller.organization_id)) is None:
        return None
    with stripe_call():
        answer = gateway.stripe.v1.customers.retrieve(customer.id, {"expand": [DEFAULT]})
    found, *cards = read_default(answer, customer, cause="card looked up")
    merge_snapshots(gateway, found, *cards)
    usable = (each.id for each in cards if not is_expired(each, gateway.clock()))
    return next(usable, None)


def read_default(
    answer: StripeCustomer, customer: Customer, *, cause: str
) -> tuple[CustomerSnapshot, *tuple[PaymentMethodSnapshot, ...]]:
    """Return the customer in an answer, followed by its default card if it has one. The answer expands the card."""
    found = CustomerSnapshot.from_answer(answer, cause=cause, after_revision=customer.revision)
    if found.default_payment_method_id is None:
        return (found,)
    default = answer.to_dict(for_json=True)["invoice_settings"]["default_payment_method"]
    return found, PaymentMethodSnapshot.read(default, replace(found.seen, after_revision=None))


def is_attached(session: Session, card_id: str | None) -> bool:
    """Return whether there is such a card and the mirror does not know that it was removed."""
    return card_id is not None and not is_detached(session, card_id)


def is_detached(session: Session, card_id: str) -> bool:
    """Return whether the mirror knows that the card was removed."""
    return bool(session.scalar(select(PaymentMethod.detached).where(PaymentMethod.id == card_id)))


def is_usable(card: PaymentMethod | None, now: datetime) -> bool:
    """Return whether there is a card and the mirror knows no reason why it could not be charged."""
    return card is not None and not card.detached and not is_expired(card, now)


def retrieve_own_card(gateway: Gateway, caller: Caller, payment_method_id: str) -> PaymentMethodSnapshot:
    """Return the caller's card as Stripe has it. Raise NotFound for any other card."""
    customer = find_customer(gateway, caller.organization_id)
    if customer is None or not PAYMENT_METHOD_ID.match(payment_method_id):
        raise NotFound("There is no such payment method.")
    with detect_deletion(gateway, caller.organization_id), stripe_call():
        answer = gateway.stripe.v1.customers.payment_methods.retrieve(customer.id, payment_method_id)
    return PaymentMethodSnapshot.from_answer(answer, cause="card looked up")


def is_expired(card: PaymentMethodSnapshot | PaymentMethod, now: datetime) -> bool:
    """Return whether the card's last month is over."""
    if card.exp_year is None or card.exp_month is None:
        return False
    return (card.exp_year, card.exp_month) < (now.year, now.month)


def to_card(card: PaymentMethodSnapshot | PaymentMethod) -> Card:
    """Convert a card to what a person recognizes."""
    return Card(id=card.id, brand=card.brand, last4=card.last4, exp_month=card.exp_month, exp_year=card.exp_year)


def to_listed_card(card: PaymentMethodSnapshot, default_id: str | None, now: datetime) -> ListedCard:
    """Convert a card to an entry of the list."""
    return ListedCard(**vars(to_card(card)), is_default=card.id == default_id, is_expired=is_expired(card, now))
