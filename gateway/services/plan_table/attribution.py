"""Who changed a plan, and why: from what told of it, and from the change that it carries out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.db.models import OPEN_STATES, PlanChange, Subscription
from gateway.services.plan_table.derive import NO_SUBSCRIPTION, PlanState, select_current_subscription
from gateway.stripe_api.snapshots import ENDED, Seen

CHANGE_ID_PREFIX = "chg_"  # what the ids of plan changes begin with, and the idempotency keys of their calls
PAYMENT_KEY_PREFIX = "pay:"  # what the keys of payments begin with that users make themselves
USER, SALES, STRIPE, SYSTEM = "user", "sales", "stripe", "system"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribution:
    """An entry's author and cause."""

    actor_type: str
    """``user``: through this gateway. ``sales``: a request to Stripe that is not ours, such as the dashboard's.
    ``stripe``: Stripe's billing by itself. ``system``: found by looking at Stripe, so whoever did it is not known."""
    actor: str | None
    """The ``sub`` of the user's token; None for one who only paid."""
    change_id: str | None
    cause: str
    """What told of it: id of the change or event, or the name of the job."""


def attribute_plan(
    seen: Seen,
    changes: Mapping[str, PlanChange],
    subscriptions: Sequence[Subscription],
    before: PlanState | None,
) -> Attribution:
    """Why an organization's plan is another one now: by a change of ours, or by whom Stripe says.

    ``changes`` are the organization's own, by their ids; ask before those that are carried out are closed. ``before``:
    what the plan table said.
    """
    change = find_responsible_change(seen, changes, subscriptions, before)
    if change is not None:
        return Attribution(actor_type=USER, actor=change.actor, change_id=change.id, cause=seen.cause)
    if (seen.request_key or "").startswith(PAYMENT_KEY_PREFIX):
        actor_type = USER
    elif seen.by_request is None:
        actor_type = SYSTEM
    else:
        actor_type = SALES if seen.by_request else STRIPE
    return Attribution(actor_type=actor_type, actor=None, change_id=None, cause=seen.cause)


def find_responsible_change(
    seen: Seen,
    changes: Mapping[str, PlanChange],
    subscriptions: Sequence[Subscription],
    before: PlanState | None,
) -> PlanChange | None:
    """The change of ours that an organization's plan is another one by; None if it is none."""
    subscription = select_current_subscription(subscriptions)
    metadata_change_id = subscription.change_id if subscription is not None else None
    reported_id = find_reported_change_id(seen)
    change = changes.get(reported_id or "")
    if reported_id != metadata_change_id and has_live_subscription(before):
        # Its call was parked, or called off: what else has changed by the time of the answer was another's doing.
        change = None
    # The metadata keep the last change's id for good: it is the reason only while the change is still open.
    carried_out = changes.get(metadata_change_id or "")
    if change is None and carried_out is not None and carried_out.state in OPEN_STATES:
        return carried_out
    return change


def has_live_subscription(state: PlanState | None) -> bool:
    """Whether there was a subscription that a change could be made to."""
    return state is not None and state.status not in ENDED | {NO_SUBSCRIPTION}


def find_reported_change_id(seen: Seen) -> str | None:
    """The change that told of it itself, or whose call an event says it was caused by."""
    if seen.cause.startswith(CHANGE_ID_PREFIX):
        return seen.cause
    key = seen.request_key or ""
    return key.partition(":")[0] if key.startswith(CHANGE_ID_PREFIX) else None
