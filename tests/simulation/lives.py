"""What each subscription was at Stripe, one state after the other, as its events show it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import select

from gateway.db.models import PlanChange
from tests.support.json_types import Json

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

UNCHARGED = ("trialing", "paused")
"""The statuses in which time and usage cost nothing."""


@dataclass(frozen=True)
class Step:
    """A subscription became ``after`` in second ``at``. ``before`` is None if it was created."""

    before: Json | None
    after: Json
    at: int
    since: int
    """The second from which Stripe prorates, such as that of the quote."""
    begun_at: int | None
    """When the gateway began the change, or None if somebody else made it."""

    def pairs(self) -> Iterator[tuple[Json | None, Json | None]]:
        """Yield each item before and after the step, None where it did not exist."""
        old = {each["id"]: each for each in items_of(self.before)}
        new = {each["id"]: each for each in items_of(self.after)}
        for number in old | new:
            yield old.get(number), new.get(number)

    @property
    def begins_to_cost(self) -> bool:
        """Return whether a trial or a pause is over."""
        was_free = self.before is not None and self.before["status"] in UNCHARGED
        return was_free and self.after["status"] not in UNCHARGED


def items_of(subscription: Json | None) -> list[Json]:
    """Return the items of a subscription that runs. One that has ended shows its last items for ever."""
    if subscription is None or subscription["status"] in ("canceled", "incomplete_expired"):
        return []
    items: list[Json] = subscription["items"]["data"]
    return items


def is_renewed(old: Json | None, new: Json | None) -> bool:
    """Return whether an item's next period has begun."""
    return old is not None and new is not None and bool(new["current_period_start"] >= old["current_period_end"])


def read_lives(world: "Simulation") -> dict[str, list[Step]]:
    """Return the steps of each subscription, by its id."""
    with world.gateway.gateway.database.transaction() as session:
        changes = {each.id: each for each in session.scalars(select(PlanChange))}
    lives: dict[str, list[Step]] = {}
    parked: dict[str, int] = {}
    for event in world.stripe.events:
        after = event["data"]["object"]
        if after["object"] != "subscription":
            continue
        life = lives.setdefault(after["id"], [])
        before = life[-1].after if life else None
        at = since = event["created"]
        begun_at = None
        if before is not None and before["pending_update"] and not after["pending_update"]:
            since = parked.pop(after["id"])
        if after["pending_update"]:
            parked.setdefault(after["id"], at)
        change = changes.get(after["metadata"].get("change_id", ""))
        if change is not None and (before is None or before["metadata"].get("change_id") != change.id):
            since = change.steps.get("update_subscription", {}).get("proration_date", since)
            begun_at = int(change.created_at.timestamp())
        life.append(Step(before, after, at, since, begun_at))
    return lives
