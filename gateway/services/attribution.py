"""Who changed a plan, and why: from what told of it, and from the change that it carries out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from gateway.db.models import OPEN_STATES, PlanChange, Subscription
from gateway.services.plan_table import NO_SUBSCRIPTION, PlanState, current_subscription
from gateway.stripe_api.snapshots import ENDED, Seen

CHANGE = "chg_"  # what the ids of plan changes begin with, and the idempotency keys of their calls
PAYMENT = "pay:"  # what the keys of payments begin with that users make themselves
USER, SALES, STRIPE, SYSTEM = "user", "sales", "stripe", "system"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """An entry's author and cause."""

    actor_type: str
    """``user``: through this gateway. ``sales``: a request to Stripe that is not ours, such as the dashboard's.
    ``stripe``: Stripe's billing by itself. ``system``: found by looking at Stripe, so whoever did it is not known."""
    actor: str | None
    """The ``sub`` of the user's token; None for one who only paid."""
    change_id: str | None
    cause: str
    """What told of it: id of the change or event, or the name of the job."""


@dataclass(frozen=True, slots=True)
class NamedChanges:
    """The ids of the changes that may be why an organization's plan is another one now."""

    told: str | None
    """The one that told of it itself, or whose call an event says it was caused by."""
    in_metadata: str | None
    """The one that Stripe last carried out."""

    @classmethod
    def by(cls, seen: Seen, subscriptions: Sequence[Subscription]) -> Self:
        """As named by what was seen, and by the subscription that the plan follows from."""
        subscription = current_subscription(subscriptions)
        return cls(told_by(seen), subscription.change_id if subscription is not None else None)

    @property
    def ids(self) -> set[str]:
        """Those that are named at all."""
        return {each for each in (self.told, self.in_metadata) if each is not None}


def reasons(
    changes: Mapping[str, PlanChange],
    seen: Mapping[str, Seen],
    named: Mapping[str, NamedChanges],
    before: Mapping[str, PlanState],
) -> dict[str, Reason]:
    """The reason for each organization in ``seen``; call it before the changes that are carried out are closed.

    ``changes`` by their ids; ``before``: what the plan table said.
    """
    return {
        organization_id: reason(
            how, responsible(changes, named[organization_id], organization_id, before.get(organization_id))
        )
        for organization_id, how in seen.items()
    }


def responsible(
    changes: Mapping[str, PlanChange], named: NamedChanges, organization_id: str, before: PlanState | None
) -> PlanChange | None:
    """The change of ours that an organization's plan is another one by; None if it is none."""
    change = own(changes, named.told, organization_id)
    if named.told != named.in_metadata and is_living(before):
        # Its call was parked, or called off: what else has changed by the time of the answer was another's doing.
        change = None
    # The metadata keep the last change's id for good: it is the reason only while the change is still open.
    in_metadata = own(changes, named.in_metadata, organization_id)
    if change is None and in_metadata is not None and in_metadata.state in OPEN_STATES:
        return in_metadata
    return change


def own(changes: Mapping[str, PlanChange], change_id: str | None, organization_id: str) -> PlanChange | None:
    """The change, unless it is another organization's: what metadata say is anybody's."""
    change = changes.get(change_id or "")
    return change if change is not None and change.organization_id == organization_id else None


def is_living(state: PlanState | None) -> bool:
    """Whether there was a subscription that a change could be made to."""
    return state is not None and state.status not in ENDED | {NO_SUBSCRIPTION}


def reason(seen: Seen, change: PlanChange | None) -> Reason:
    """A change of ours, or else who Stripe says it was."""
    if change is not None:
        return Reason(actor_type=USER, actor=change.actor, change_id=change.id, cause=seen.cause)
    if (seen.request_key or "").startswith(PAYMENT):
        actor_type = USER
    elif seen.by_request is None:
        actor_type = SYSTEM
    else:
        actor_type = SALES if seen.by_request else STRIPE
    return Reason(actor_type=actor_type, actor=None, change_id=None, cause=seen.cause)


def told_by(seen: Seen) -> str | None:
    """The change that told of it itself, or whose call an event says it was caused by."""
    if seen.cause.startswith(CHANGE):
        return seen.cause
    key = seen.request_key or ""
    return key.partition(":")[0] if key.startswith(CHANGE) else None
