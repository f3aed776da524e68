"""Differences between Stripe and the local tables, field by field, and their probable causes.

These are the causes, in the order in which they are tried:

in_flight       A change of ours is open, an event of the object waits in the inbox, or a refresh is queued. Or the
                mirror's state is as recent as Stripe's answer. The walk leaves the object alone.
failed_event    The inbox received the object's event but could not apply it.
altered         The merge received Stripe's state, but the tables do not show it. Someone wrote to them, or it is a bug.
dashboard_edit  A person chose another price, quantity, item or end at Stripe. It was no change of ours, and no event
                reported it.
missed_event    Any other state that no event reported. Stripe caused it, or a change of ours did.
gone            Stripe does not know the object. The key belongs to another account, or test data was deleted.
unreadable      Stripe's object has a shape or a status that the gateway does not know.
unmapped        The subscription had a plan, and its prices belong to no plan of the catalogue now.

Three more causes name an object that stands beside the right one, or that has no organization yet:

duplicate_subscription  It runs and has a plan, but another subscription of the organization has a higher one. Both
                        are billed. Cancel plan ends all of them.
duplicate_customer      Its metadata name an organization that has another customer.
unlinked_customer       Its metadata name an organization that the gateway does not know. The walk adopts it.

A refresh heals every cause except in_flight, gone, unreadable, unmapped and the two duplicates.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from gateway.db.models import Mirrored
from gateway.services.mirror.tables import KINDS
from gateway.stripe_api.snapshots import Snapshot

Fields = dict[str, Any]
Pair = tuple[Any, Any]  # ours, Stripe's

CHOSEN_BY_PEOPLE = ("price_id", "product_id", "quantity", "cancel_at")


class Cause(StrEnum):
    """The probable cause of a difference."""

    IN_FLIGHT = "in_flight"
    FAILED_EVENT = "failed_event"
    ALTERED = "altered"
    DASHBOARD_EDIT = "dashboard_edit"
    MISSED_EVENT = "missed_event"
    GONE = "gone"
    UNREADABLE = "unreadable"
    UNMAPPED = "unmapped"
    DUPLICATE_SUBSCRIPTION = "duplicate_subscription"
    DUPLICATE_CUSTOMER = "duplicate_customer"
    UNLINKED_CUSTOMER = "unlinked_customer"


NEEDS_A_PERSON = frozenset(
    {Cause.GONE, Cause.UNREADABLE, Cause.UNMAPPED, Cause.DUPLICATE_SUBSCRIPTION, Cause.DUPLICATE_CUSTOMER}
)


class Resolution(StrEnum):
    """What the walk did about a difference."""

    HEALED = "healed"
    LEFT = "left"
    """An update is in flight."""
    WOULD_HEAL = "would_heal"
    """The run was dry."""
    NOT_HEALED = "not_healed"
    """A person must investigate."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One object that differs.

    ``fields`` maps a name to (ours, Stripe's). It is empty if the object cannot be compared field by field.
    """

    kind: str
    stripe_id: str
    organization_id: str
    cause: Cause
    fields: Mapping[str, Pair]
    resolution: Resolution = Resolution.NOT_HEALED

    @property
    def healable(self) -> bool:
        """Return whether a refresh from Stripe can help."""
        return self.cause not in NEEDS_A_PERSON

    def to_json(self) -> dict[str, Any]:
        """Return the difference for ``--json``, with times in ISO 8601."""
        return {
            "kind": self.kind,
            "id": self.stripe_id,
            "organization": self.organization_id,
            "class": self.cause,
            "done": self.resolution,
            "fields": {
                name: {"ours": to_json_value(ours), "stripe": to_json_value(its)}
                for name, (ours, its) in self.fields.items()
            },
        }


@dataclass(frozen=True, kw_only=True)
class Circumstances:
    """What the gateway knows about the objects of a page. Each field holds the ids to which it applies."""

    changing: Collection[str]
    """The organization has a change in flight."""
    waiting: Collection[str]
    """An event of the object is pending, or its refresh is queued."""
    failed: Collection[str]
    """An event of the object is failed or dead."""


def compare_row(row: Mirrored, snapshot: Snapshot) -> dict[str, Pair]:
    """Return the fields in which the mirror's row differs from Stripe's object."""
    # Leave out fields that do not count as a change, such as an invoice's links.
    values = KINDS[snapshot.kind].column_values(snapshot)
    shown = {"payment_under_way"} if values.get("payment_under_way") is not None else set()
    content = {k: v for k, v in values.items() if k in snapshot.compared() or k in shown}
    return compare_fields(flatten_items({name: getattr(row, name) for name in content}), flatten_items(content))


def compare_fields(ours: Fields, its: Fields) -> dict[str, Pair]:
    """Return the fields whose values differ."""
    names = sorted(ours.keys() | its.keys())
    return {name: (ours.get(name), its.get(name)) for name in names if ours.get(name) != its.get(name)}


def flatten_items(content: Fields) -> Fields:
    """Return the content with one field per field of each subscription item, such as ``items.si_1.quantity``."""
    fields = {name: value for name, value in content.items() if name != "items"}
    for item in content.get("items") or ():
        fields |= {f"items.{item['id']}.{name}": value for name, value in item.items() if name != "id"}
    return fields


def classify(
    row: Mirrored | None, snapshot: Snapshot, fields: Mapping[str, Pair], circumstances: Circumstances
) -> Cause:
    """Return the probable cause of a difference."""
    if snapshot.id in circumstances.changing or snapshot.id in circumstances.waiting:
        return Cause.IN_FLIGHT
    if snapshot.id in circumstances.failed:
        return Cause.FAILED_EVENT
    if row is not None and row.trail and row.trail[-1] == snapshot.digest:
        return Cause.ALTERED
    chosen = any(name.endswith(CHOSEN_BY_PEOPLE) for name in fields)
    return Cause.DASHBOARD_EDIT if chosen and "change_id" not in fields else Cause.MISSED_EVENT


def to_json_value(value: Any) -> Any:
    """Convert a column's value for JSON."""
    return value.isoformat() if isinstance(value, datetime) else value
