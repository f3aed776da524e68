"""What differs between Stripe and the local tables, field by field, and how it may have come about.

The classes, in the order in which they are tried:

in_flight       a change of ours is open, an event of the object waits in the inbox, a refresh is queued, or the mirror
                has news as recent as Stripe's answer: left alone
failed_event    its event came, and could not be applied
altered         the merge was told of Stripe's state, but the tables do not show it: somebody wrote to them, or a bug
dashboard_edit  people chose another price, quantity, item or end at Stripe; no change of ours did, and no event told
missed_event    anything else that no event told: what Stripe does by itself, and changes of ours
gone            Stripe knows no such object: another account's key, or test data that was deleted
unreadable      Stripe's object has a shape or a status that is not known here
unmapped        the subscription's prices stand for no plan of the catalogue, or for several

All but the first and the last three are healed by a refresh.
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
    """How a difference may have come about."""

    IN_FLIGHT = "in_flight"
    FAILED_EVENT = "failed_event"
    ALTERED = "altered"
    DASHBOARD_EDIT = "dashboard_edit"
    MISSED_EVENT = "missed_event"
    GONE = "gone"
    UNREADABLE = "unreadable"
    UNMAPPED = "unmapped"


class Resolution(StrEnum):
    """What was done about it."""

    HEALED = "healed"
    LEFT = "left"
    """To what is on its way."""
    WOULD_HEAL = "would_heal"
    """In a dry run."""
    NOT_HEALED = "not_healed"
    """Somebody must look at it."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One object that differs. ``fields``: name -> (ours, Stripe's); empty if it is the object as such."""

    kind: str
    stripe_id: str
    organization_id: str
    cause: Cause
    fields: Mapping[str, Pair]
    resolution: Resolution = Resolution.NOT_HEALED

    @property
    def healable(self) -> bool:
        """Whether asking Stripe once more can help."""
        return self.cause not in (Cause.GONE, Cause.UNREADABLE, Cause.UNMAPPED)

    def to_json(self) -> dict[str, Any]:
        """For ``--json``: times in ISO 8601."""
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
    """What is known locally about the objects of a page: the ids of those to which each applies."""

    changing: Collection[str]
    """Their organization has a change in flight."""
    waiting: Collection[str]
    """An event of theirs is pending, or a refresh is queued."""
    failed: Collection[str]
    """An event of theirs is failed or dead."""


def compare_row(row: Mirrored, snapshot: Snapshot) -> dict[str, Pair]:
    """The fields in which the mirror's row differs from Stripe's object."""
    # Without what does not count as a change, such as an invoice's links.
    content = {k: v for k, v in KINDS[snapshot.kind].content(snapshot).items() if k in snapshot.compared()}
    return compare_fields(flatten_items({name: getattr(row, name) for name in content}), flatten_items(content))


def compare_fields(ours: Fields, its: Fields) -> dict[str, Pair]:
    """The names under which two sets of fields do not say the same."""
    names = sorted(ours.keys() | its.keys())
    return {name: (ours.get(name), its.get(name)) for name in names if ours.get(name) != its.get(name)}


def flatten_items(content: Fields) -> Fields:
    """The content with each field of each subscription item on its own: ``items.si_1.quantity``."""
    fields = {name: value for name, value in content.items() if name != "items"}
    for item in content.get("items") or ():
        fields |= {f"items.{item['id']}.{name}": value for name, value in item.items() if name != "id"}
    return fields


def classify(
    row: Mirrored | None, snapshot: Snapshot, fields: Mapping[str, Pair], circumstances: Circumstances
) -> Cause:
    """How the difference may have come about."""
    if snapshot.id in circumstances.changing or snapshot.id in circumstances.waiting:
        return Cause.IN_FLIGHT
    if snapshot.id in circumstances.failed:
        return Cause.FAILED_EVENT
    if row is not None and row.trail and row.trail[-1] == snapshot.digest:
        return Cause.ALTERED
    chosen = any(name.endswith(CHOSEN_BY_PEOPLE) for name in fields)
    return Cause.DASHBOARD_EDIT if chosen and "change_id" not in fields else Cause.MISSED_EVENT


def to_json_value(value: Any) -> Any:
    """A column's value for JSON."""
    return value.isoformat() if isinstance(value, datetime) else value
