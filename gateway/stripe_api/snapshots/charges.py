"""Snapshots of charges whose money went back to the customer, by a refund or by a dispute."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import ClassVar, Self

from gateway.stripe_api.events import JsonObject
from gateway.stripe_api.snapshots.base import Seen, Snapshot, id_of, natural, required_id, strict, word
from gateway.stripe_api.times import from_unix

LOST = "lost"
SETTLED = "settled"
"""The metadata key by which sales marks a lost dispute as paid in another way."""
# Stripe's statuses of a dispute that is over. All others are open. https://docs.stripe.com/disputes/how-disputes-work
OVER: Mapping[str, str | None] = MappingProxyType(
    {"lost": LOST, "won": None, "warning_closed": None, "prevented": None}
)


@dataclass(frozen=True, kw_only=True)
class ChargeSnapshot(Snapshot):
    """A charge (https://docs.stripe.com/api/charges/object) with its invoice and its disputes.

    Only a refresh shows one. An event of a dispute names no customer, and no event names the invoice.
    """

    kind: ClassVar[str] = "charge"

    customer_id: str | None = field(compare=False)
    invoice_id: str | None
    currency: str
    amount: int
    amount_refunded: int
    dispute: str | None
    """``open``, ``lost``, or None. A dispute that was won or settled counts as none."""
    amount_lost: int
    """What a lost dispute took back."""
    created: datetime

    @property
    def owner(self) -> str | None:
        """Return the charge's customer."""
        return self.customer_id

    @classmethod
    @strict
    def read(cls, stripe_object: JsonObject, seen: Seen) -> Self:
        """Read a charge as ``refresh.retrieve_charge`` puts it together."""
        disputes = [(read_dispute(each), natural(each["amount"])) for each in stripe_object["disputes"]["data"]]
        lost = sum(amount for state, amount in disputes if state == LOST)
        is_open = any(state == "open" for state, _ in disputes)
        payments = stripe_object.get("invoice_payments", {}).get("data")
        return cls(
            id=required_id(stripe_object),
            customer_id=id_of(stripe_object["customer"]),
            invoice_id=id_of(payments[0]["invoice"]) if payments else None,
            currency=word(stripe_object["currency"]),
            amount=natural(stripe_object["amount"]),
            amount_refunded=natural(stripe_object["amount_refunded"]),
            dispute=LOST if lost else "open" if is_open else None,
            amount_lost=lost,
            created=from_unix(stripe_object["created"]),
            seen=seen,
        )


def read_dispute(dispute: JsonObject) -> str | None:
    """Return ``open``, ``lost``, or None for a dispute that was won or settled."""
    if dispute["metadata"].get(SETTLED) == "true":
        return None
    return OVER.get(word(dispute["status"]), "open")
