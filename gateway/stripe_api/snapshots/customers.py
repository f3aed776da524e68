"""Snapshots of customers and their cards."""

from dataclasses import dataclass, field
from typing import ClassVar, Self

from gateway.stripe_api.events import JsonObject
from gateway.stripe_api.snapshots.base import (
    Seen,
    Snapshot,
    flag,
    id_of,
    integer,
    integer_or_none,
    required_id,
    strict,
    text,
)

ORGANIZATION_ID = "organization_id"  # the metadata key by which a Stripe object names our organization


@dataclass(frozen=True, kw_only=True)
class CustomerSnapshot(Snapshot):
    """A customer: https://docs.stripe.com/api/customers/object."""

    kind: ClassVar[str] = "customer"

    organization_id: str | None = field(compare=False)
    name: str | None
    email: str | None
    default_payment_method_id: str | None
    balance: int
    deleted: bool = False

    @property
    def owner(self) -> str:
        """Return the customer's own id."""
        return self.id

    @property
    def rank(self) -> int:
        """Return 1 for a deleted customer, which stays deleted, and 0 otherwise."""
        return int(self.deleted)

    @classmethod
    @strict
    def read(cls, stripe_object: JsonObject, seen: Seen) -> Self:
        """Read a customer, or the stub of three fields that Stripe returns for a deleted customer."""
        deleted = flag(stripe_object.get("deleted", False))
        return cls(
            id=required_id(stripe_object),
            organization_id=None if deleted else text(stripe_object["metadata"].get(ORGANIZATION_ID)),
            name=None if deleted else text(stripe_object["name"]),
            email=None if deleted else text(stripe_object["email"]),
            default_payment_method_id=None
            if deleted
            else id_of(stripe_object["invoice_settings"]["default_payment_method"]),
            balance=0 if deleted else integer(stripe_object["balance"]),
            deleted=deleted,
            seen=seen,
        )


@dataclass(frozen=True, kw_only=True)
class PaymentMethodSnapshot(Snapshot):
    """A card: https://docs.stripe.com/api/payment_methods/object."""

    kind: ClassVar[str] = "payment_method"

    customer_id: str | None = field(compare=False)
    """The card's customer, or its previous customer if it is ``detached`` and the event names that customer."""
    brand: str | None
    last4: str | None
    exp_month: int | None
    exp_year: int | None
    detached: bool

    @property
    def owner(self) -> str | None:
        """Return the card's customer, or its previous one."""
        return self.customer_id

    @property
    def rank(self) -> int:
        """Return 1 for a detached card, which can never be attached again, and 0 otherwise."""
        return int(self.detached)

    @classmethod
    @strict
    def read(cls, stripe_object: JsonObject, seen: Seen) -> Self:
        """Read a payment method. One that is not a card has no brand and no digits."""
        card = stripe_object.get("card") or {}
        return cls(
            id=required_id(stripe_object),
            customer_id=id_of(stripe_object["customer"]),
            brand=text(card.get("brand")),
            last4=text(card.get("last4")),
            exp_month=integer_or_none(card.get("exp_month")),
            exp_year=integer_or_none(card.get("exp_year")),
            detached=stripe_object["customer"] is None,
            seen=seen,
        )
