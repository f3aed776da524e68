"""Objects that an event speaks of without showing them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from gateway.stripe_api.events import Event
from gateway.stripe_api.snapshots.base import Snapshot, id_of, strict
from gateway.stripe_api.snapshots.customers import ORGANIZATION_ID


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """An object to be looked up at Stripe if it is ours, and if the mirror has no state of it as new as ``as_of``."""

    kind: str
    id: str
    owner: str | None
    """Its customer; None if the event does not say: then it is ours only if the mirror has it."""
    as_of: datetime | None
    """When it may have changed; None: look it up however new the mirror is."""
    ours: bool = False
    """The event itself proves that it is ours."""


Observation = Snapshot | Reference  # what an event says about one object


@strict
def referred(event: Event, kind: str, member: str | None = None) -> list[Reference]:
    """The object of ``kind`` that the event's object names in ``member`` (as a rule of the same name), if any.

    Raises UnreadableObject if there is no such member.
    """
    found = id_of(event.object[member or kind])
    if found is None:
        return []
    return [Reference(kind=kind, id=found, owner=id_of(event.object.get("customer")), as_of=event.created)]


def owner_in(event: Event) -> str | None:
    """The customer that the event's object belongs to, or did until now: a detached card names it only as the past."""
    return id_of(event.object.get("customer")) or id_of((event.previous or {}).get("customer"))


@strict
def unreadable(event: Event, kind: str, stripe_id: str) -> Reference:
    """The event's own object, whose payload cannot be trusted: only ids are taken from it.

    Raises UnreadableObject if even they cannot be had.
    """
    metadata = event.object.get("metadata")  # of a customer, which says in them whose it is
    named = kind == "customer" and isinstance(metadata, Mapping) and ORGANIZATION_ID in metadata
    return Reference(
        kind=kind,
        id=stripe_id,
        owner=stripe_id if kind == "customer" else owner_in(event),
        as_of=None,
        ours=named or kind in {"product", "price"},  # the catalogue has no customer
    )
