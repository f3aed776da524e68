"""The cards on file. Stripe keeps them; a card is only ever touched after Stripe said whose it is."""

import re
from dataclasses import dataclass

from gateway.db.models import Organization, OrganizationPlan, PaymentMethod
from gateway.errors import Conflict, NotFound
from gateway.services import sync
from gateway.services.context import Caller, Gateway
from gateway.services.organizations import ensure_customer
from gateway.services.plan_table import FREE
from gateway.services.positions import open_change
from gateway.stripe_api.client import stripe_call
from gateway.stripe_api.snapshots import CustomerSnapshot, PaymentMethodSnapshot, Snapshot

PAYMENT_METHOD_ID = re.compile(r"\A[A-Za-z0-9_]{1,255}\Z")


@dataclass(frozen=True, kw_only=True)
class Card:
    """A card as a person knows it."""

    id: str
    brand: str | None
    last4: str | None
    exp_month: int | None
    exp_year: int | None
    is_default: bool


@dataclass(frozen=True, kw_only=True)
class Customer:
    """The organization's customer at Stripe, as known here."""

    id: str
    default_card_id: str | None
    revision: int


@dataclass(frozen=True, kw_only=True)
class SetupIntent:
    """What Stripe.js needs to take a card in the browser."""

    client_secret: str
    publishable_key: str


def create_setup_intent(gateway: Gateway, caller: Caller) -> SetupIntent:
    """Begin taking a card. The secret is for this organization's browser only."""
    customer_id = ensure_customer(gateway, caller)
    with stripe_call():
        intent = gateway.stripe.v1.setup_intents.create(
            {"customer": customer_id, "usage": "off_session", "allowed_payment_method_types": ["card"]}
        )
    return SetupIntent(client_secret=intent.client_secret or "", publishable_key=gateway.config.stripe_publishable_key)


def list_cards(gateway: Gateway, caller: Caller) -> list[Card]:
    """The cards on file, as Stripe has them now: a card just added need not have come by webhook yet."""
    if (customer := find_customer(gateway, caller)) is None:
        return []
    with stripe_call():
        page = gateway.stripe.v1.customers.payment_methods.list(customer.id, {"type": "card", "limit": 100})
    cards = PaymentMethodSnapshot.from_list(page, cause="cards listed")
    merge(gateway, *cards)
    return [card_of(each, customer.default_card_id) for each in cards]


def set_default(gateway: Gateway, caller: Caller, payment_method_id: str) -> Card:
    """Make a card of the organization's the one that is charged. Raises NotFound, CardDeclined."""
    customer, card = owned(gateway, caller, payment_method_id)
    with stripe_call():
        answer = gateway.stripe.v1.customers.update(
            customer.id, {"invoice_settings": {"default_payment_method": card.id}}
        )
    changed = CustomerSnapshot.from_answer(answer, cause=caller.actor, after_revision=customer.revision)
    merge(gateway, card, changed)
    return card_of(card, card.id)


def delete_card(gateway: Gateway, caller: Caller, payment_method_id: str) -> None:
    """Take a card off file. Raises NotFound, and Conflict for the default card of a paid plan."""
    customer, card = owned(gateway, caller, payment_method_id)
    with gateway.database.transaction() as session:
        row = session.get(OrganizationPlan, caller.organization_id)
        change = open_change(session, caller.organization_id)
    wanted = {row.requested_plan if row is not None else FREE, change.to_plan if change is not None else FREE}
    if customer.default_card_id == card.id and wanted != {FREE}:
        raise Conflict("The default card pays for the plan: make another card the default first.")
    with stripe_call():
        detached = gateway.stripe.v1.payment_methods.detach(card.id)
        # A detached default is no default any more: known at once, or an upgrade might still be taken on it.
        current = gateway.stripe.v1.customers.retrieve(customer.id)
    merge(
        gateway,
        PaymentMethodSnapshot.from_answer(detached, cause=caller.actor),
        CustomerSnapshot.from_answer(current, cause=caller.actor, after_revision=customer.revision),
    )


def is_on_file(gateway: Gateway, caller: Caller) -> bool:
    """Whether a default card is on file; Stripe is asked if none is known here, since its webhook may be late."""
    if (customer := find_customer(gateway, caller)) is None:
        return False
    if customer.default_card_id is not None:
        return True
    with stripe_call():
        answer = gateway.stripe.v1.customers.retrieve(customer.id)
    found = CustomerSnapshot.from_answer(answer, cause="card looked up", after_revision=customer.revision)
    merge(gateway, found)
    return found.default_payment_method_id is not None


def owned(gateway: Gateway, caller: Caller, payment_method_id: str) -> tuple[Customer, PaymentMethodSnapshot]:
    """The customer, and a card that Stripe says is his. Raises NotFound for anybody else's card."""
    customer = find_customer(gateway, caller)
    if customer is None or not PAYMENT_METHOD_ID.match(payment_method_id):
        raise NotFound("There is no such payment method.")
    with stripe_call():
        answer = gateway.stripe.v1.customers.payment_methods.retrieve(customer.id, payment_method_id)
    return customer, PaymentMethodSnapshot.from_answer(answer, cause="card looked up")


def find_customer(gateway: Gateway, caller: Caller) -> Customer | None:
    """The organization's customer, if it has one."""
    with gateway.database.transaction() as session:
        row = session.get(Organization, caller.organization_id)
    if row is None or row.stripe_customer_id is None or row.deleted:
        return None
    return Customer(id=row.stripe_customer_id, default_card_id=row.default_payment_method_id, revision=row.revision)


def merge(gateway: Gateway, *snapshots: Snapshot) -> None:
    """Merge answers of Stripe's in a transaction of their own."""
    with gateway.database.transaction() as session:
        sync.merge(session, snapshots, gateway.clock())


def card_of(card: PaymentMethodSnapshot | PaymentMethod, default_id: str | None) -> Card:
    """A card for people."""
    return Card(
        id=card.id,
        brand=card.brand,
        last4=card.last4,
        exp_month=card.exp_month,
        exp_year=card.exp_year,
        is_default=card.id == default_id,
    )
