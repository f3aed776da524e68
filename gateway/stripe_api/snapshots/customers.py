"""Snapshots of customers."""

from dataclasses import dataclass, field
from typing import ClassVar, Self

from gateway.stripe_api.events import JsonObject
from gateway.stripe_api.snapshots.base import (
    Seen,
    Snapshot,
    flag,
    id_of,
    integer,
    required_id,
    strict,
    text,
)
from gateway.stripe_api.snapshots.discounts import discount_ids_of

ORGANIZATION_ID_KEY = "organization_id"  # the metadata key by which a Stripe object names our organization


@dataclass(frozen=True, kw_only=True)
class CustomerSnapshot(Snapshot):
    """A customer: https://docs.stripe.com/api/customers/object."""

    kind: ClassVar[str] = "customer"

    organization_id: str | None = field(compare=False)
    name: str | None
    email: str | None
    default_payment_method_id: str | None
    default_source_id: str | None
    """What Stripe charges if neither the subscription nor the invoice settings name a payment method."""
    currency: str | None
    """The currency of the customer's first charge or subscription. Stripe then accepts no other."""
    country: str | None
    """The country of the address, from which Stripe computes automatic tax."""
    balance: int
    discount_ids: tuple[str, ...]
    """The customer's own discount. Stripe takes it off the invoices of subscriptions that have no discount."""
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
            organization_id=None if deleted else text(stripe_object["metadata"].get(ORGANIZATION_ID_KEY)),
            name=None if deleted else text(stripe_object["name"]),
            email=None if deleted else text(stripe_object["email"]),
            default_payment_method_id=None
            if deleted
            else id_of(stripe_object["invoice_settings"]["default_payment_method"]),
            default_source_id=None if deleted else id_of(stripe_object.get("default_source")),
            currency=None if deleted else text(stripe_object.get("currency")),
            country=None if deleted else text((stripe_object["address"] or {}).get("country")),
            balance=0 if deleted else integer(stripe_object["balance"]),
            discount_ids=() if deleted else discount_ids_of(stripe_object),
            deleted=deleted,
            seen=seen,
        )
