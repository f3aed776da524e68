"""Who changed a plan, and why: from what told of it, and from the change that it carries out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from gateway.db.models import OPEN_STATES, PlanChange, Subscription
from gateway.db.queries import among
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


def reasons(
    session: Session,
    told: Mapping[str, Seen],
    subscriptions: Mapping[str, Sequence[Subscription]],
    before: Mapping[str, PlanState],
) -> dict[str, Reason]:
    """The reason for each organization in ``told``; call it before the changes that are carried out are closed.

    ``before``: what the plan table said of them.
    """
    carried_out = {each: carried_out_by(subscriptions[each]) for each in told}
    named = {each: named_by(seen) for each, seen in told.items()}
    wanted = {change_id for change_id in (*carried_out.values(), *named.values()) if change_id is not None}
    changes: dict[str, PlanChange] = {}
    if wanted:
        changes = {each.id: each for each in session.scalars(select(PlanChange).where(among(PlanChange.id, wanted)))}
    found = {}
    for organization_id, seen in told.items():
        change = own(changes, named[organization_id], organization_id)
        if named[organization_id] != carried_out[organization_id] and is_living(before.get(organization_id)):
            # Its call was parked, or called off: what else has changed by the time of the answer was another's doing.
            change = None
        in_metadata = own(changes, carried_out[organization_id], organization_id)
        # The metadata keep the last change's id for good: it is the reason only while the change is still open.
        if change is None and in_metadata is not None and in_metadata.state in OPEN_STATES:
            change = in_metadata
        found[organization_id] = reason(seen, change)
    return found


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


def named_by(seen: Seen) -> str | None:
    """The change that told of it itself, or whose call an event says it was caused by."""
    if seen.cause.startswith(CHANGE):
        return seen.cause
    key = seen.request_key or ""
    return key.partition(":")[0] if key.startswith(CHANGE) else None


def carried_out_by(subscriptions: Sequence[Subscription]) -> str | None:
    """The change in the subscription's metadata."""
    subscription = current_subscription(subscriptions)
    return subscription.change_id if subscription is not None else None
