"""The cards on file. Stripe stores them. The gateway changes a card only after Stripe has confirmed whose it is."""

import re
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import bindparam, func, select
from sqlalchemy.orm import Session

from gateway.db.models import IS_OPEN, OrganizationPlan, PaymentMethod, PlanChange
from gateway.errors import CardExpired, DefaultPaymentMethod, NotFound, StripeRejected, TooManyPaymentMethods
from gateway.services.customers.customer import Customer, ensure_customer, find_customer
from gateway.services.customers.deletion import detect_deletion, refuse_if_deleted
from gateway.services.mirror.refresh import merge_snapshots
from gateway.services.mirror.refresh_jobs import defer_refresh
from gateway.services.plan_table.derive import FREE
from gateway.services.rate_limits.table import MAX_CARDS
from gateway.services.runtime import Caller, Gateway
from gateway.stripe_api.client import stripe_call
from gateway.stripe_api.snapshots import CustomerSnapshot, PaymentMethodSnapshot

PAYMENT_METHOD_ID = re.compile(r"\A[A-Za-z0-9_]{1,255}\Z")
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
    if (customer := find_customer(gateway, caller)) is None:
        return []
    with detect_deletion(gateway, caller.organization_id), stripe_call():
        page = gateway.stripe.v1.customers.payment_methods.list(customer.id, {"type": "card", "limit": 100})
    cards = PaymentMethodSnapshot.from_list(page, cause="cards listed")
    merge_snapshots(gateway, *cards)
    return [to_listed_card(each, customer.default_card_id, gateway.clock()) for each in cards]


def set_default(gateway: Gateway, caller: Caller, payment_method_id: str) -> ListedCard:
    """Make one of the organization's cards the default. Raise NotFound, CardExpired or CardDeclined."""
    customer, card = retrieve_own_card(gateway, caller, payment_method_id)
    if is_expired(card, gateway.clock()):
        raise CardExpired("The card has expired. Please choose another one.")
    with detect_deletion(gateway, caller.organization_id), stripe_call():
        answer = gateway.stripe.v1.customers.update(
            customer.id, {"invoice_settings": {"default_payment_method": card.id}}
        )
    # Two concurrent requests may merge answers of the same second. The merge then asks Stripe which one is later.
    changed = CustomerSnapshot.from_answer(answer, cause="card chosen", after_revision=customer.revision)
    merge_snapshots(gateway, card, changed)
    return to_listed_card(card, card.id, gateway.clock())


def delete_card(gateway: Gateway, caller: Caller, payment_method_id: str) -> None:
    """Detach a card. Do nothing if it was already detached.

    Raise NotFound, or DefaultPaymentMethod for the card that pays for a plan.
    """
    try:
        customer, card = retrieve_own_card(gateway, caller, payment_method_id)
    except NotFound:
        if was_on_file(gateway, caller, payment_method_id):
            return
        raise
    if pays_for_plan(gateway, caller) and retrieve_customer(gateway, customer).default_payment_method_id == card.id:
        raise DefaultPaymentMethod("The default card pays for the plan. Please make another card the default first.")
    try:
        with detect_deletion(gateway, caller.organization_id), stripe_call():
            detached = gateway.stripe.v1.payment_methods.detach(card.id)
    except StripeRejected:
        if was_on_file(gateway, caller, payment_method_id):  # a concurrent request detached it
            return
        raise
    # Stripe clears a detached default. If the mirror learned this late, the gateway could accept an upgrade on it.
    current = retrieve_customer(gateway, customer)
    merge_snapshots(gateway, PaymentMethodSnapshot.from_answer(detached, cause="card deleted"), current)


def has_usable_default_card(gateway: Gateway, caller: Caller) -> bool:
    """Return whether Stripe has a default card that has not expired.

    Call this only if the mirror has no usable card. Its webhook can be late, and banks renew cards on their own.
    """
    if (customer := find_customer(gateway, caller)) is None:
        return False
    with stripe_call():
        answer = gateway.stripe.v1.customers.retrieve(
            customer.id, {"expand": ["invoice_settings.default_payment_method"]}
        )
    found = CustomerSnapshot.from_answer(answer, cause="card looked up", after_revision=customer.revision)
    if found.default_payment_method_id is None:
        merge_snapshots(gateway, found)
        return False
    default = answer.to_dict(for_json=True)["invoice_settings"]["default_payment_method"]
    default_card = PaymentMethodSnapshot.read(default, replace(found.seen, after_revision=None))
    merge_snapshots(gateway, found, default_card)
    return not is_expired(default_card, gateway.clock())


def is_usable(card: PaymentMethod | None, now: datetime) -> bool:
    """Return whether there is a card and the mirror knows no reason why it could not be charged."""
    return card is not None and not card.detached and not is_expired(card, now)


def retrieve_own_card(
    gateway: Gateway, caller: Caller, payment_method_id: str
) -> tuple[Customer, PaymentMethodSnapshot]:
    """Return the caller's customer and its card as Stripe has it. Raise NotFound for any other card."""
    customer = find_customer(gateway, caller)
    if customer is None or not PAYMENT_METHOD_ID.match(payment_method_id):
        raise NotFound("There is no such payment method.")
    with detect_deletion(gateway, caller.organization_id), stripe_call():
        answer = gateway.stripe.v1.customers.payment_methods.retrieve(customer.id, payment_method_id)
    return customer, PaymentMethodSnapshot.from_answer(answer, cause="card looked up")


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


def pays_for_plan(gateway: Gateway, caller: Caller) -> bool:
    """Return whether the organization is on a paid plan or has an open change to one."""
    with gateway.database.transaction() as session:
        row = session.get(OrganizationPlan, caller.organization_id)
        change = find_open_change(session, caller.organization_id)
    wanted = {row.requested_plan if row is not None else FREE, change.to_plan if change is not None else FREE}
    return wanted != {FREE}


def find_open_change(session: Session, organization_id: str) -> PlanChange | None:
    """Return the organization's open change, or None. The database allows one at most."""
    query = select(PlanChange).where(PlanChange.organization_id == organization_id, IS_OPEN)
    return session.scalars(query).one_or_none()


def retrieve_customer(gateway: Gateway, customer: Customer) -> CustomerSnapshot:
    """Retrieve the customer from Stripe. Raise ContactSalesRequired if it was deleted."""
    with stripe_call():
        answer = gateway.stripe.v1.customers.retrieve(customer.id)
    current = CustomerSnapshot.from_answer(answer, cause="card deleted", after_revision=customer.revision)
    refuse_if_deleted(gateway, current)
    return current


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
