"""References to objects that an event names but does not contain."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from gateway.stripe_api.events import Event
from gateway.stripe_api.snapshots.base import Snapshot, id_of, strict
from gateway.stripe_api.snapshots.customers import ORGANIZATION_ID_KEY
from gateway.stripe_api.snapshots.discounts import DiscountsSnapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """An object that the gateway looks up at Stripe if it is ours and if the mirror's state is older than ``as_of``."""

    kind: str
    id: str
    owner: str | None
    """The object's customer. It is None if the event names none. Then the object is ours only if the mirror has it."""
    as_of: datetime | None
    """When the object may have changed. With None, the gateway looks it up however new the mirror's state is."""
    ours: bool = False
    """Whether the event itself proves that the object is ours."""
    is_added: bool = False
    """Whether it is a payment method that a setup intent of the gateway has attached."""


Observation = Snapshot | Reference  # what an event says about one object


@strict
def referred(event: Event, kind: str, member: str | None = None) -> list[Reference]:
    """Return the reference, if any, to the object of ``kind`` that the event's object names in ``member``.

    ``member`` defaults to ``kind``. Raise UnreadableObject if there is no such member.
    """
    found = id_of(event.object[member or kind])
    if found is None:
        return []
    return [Reference(kind=kind, id=found, owner=id_of(event.object.get("customer")), as_of=event.created)]


@strict
def discounts_of(event: Event) -> list[Reference]:
    """Return the reference to the discounts of the subscription or customer that holds the event's discount."""
    customer_id = id_of(event.object["customer"])
    holder_id = id_of(event.object["subscription"]) or customer_id
    if holder_id is None:
        return []
    return [Reference(kind=DiscountsSnapshot.kind, id=holder_id, owner=customer_id, as_of=None)]


def owner_in(event: Event) -> str | None:
    """Return the customer of the event's object, or its previous one. A detached card names only the previous one."""
    return id_of(event.object.get("customer")) or id_of((event.previous or {}).get("customer"))


@strict
def unreadable(event: Event, kind: str, stripe_id: str) -> Reference:
    """Return a reference to the event's own object, whose payload is unreadable. It takes only ids from the payload.

    Raise UnreadableObject if the ids are unreadable as well.
    """
    metadata = event.object.get("metadata")  # a customer's metadata names its organization
    named = kind == "customer" and isinstance(metadata, Mapping) and ORGANIZATION_ID_KEY in metadata
    return Reference(
        kind=kind,
        id=stripe_id,
        owner=stripe_id if kind == "customer" else owner_in(event),
        as_of=None,
        ours=named or kind in {"product", "price"},  # products and prices have no customer
    )
