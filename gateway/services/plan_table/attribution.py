"""Find out who changed a plan and why, from the observation that showed it and from our own plan changes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from gateway.db.models import OPEN_STATES, Grant, PlanChange, Subscription
from gateway.services.plan_table.derive import PlanState
from gateway.services.plan_table.standing import NO_SUBSCRIPTION
from gateway.stripe_api.snapshots import ENDED, Seen

CHANGE_ID_PREFIX = "chg_"  # the ids of plan changes begin with this, and so do the idempotency keys of their calls
CHANGE_ID_PATTERN = re.compile(CHANGE_ID_PREFIX + "[0-9a-f]{32}")
GRANT_ID_PREFIX = "grt_"  # the ids of grants begin with this
PAYMENT_KEY_PREFIX = "pay:"  # the idempotency keys of payments that a user makes begin with this
CREDIT_KEY_PREFIX = "unpaid_credit:"  # the idempotency keys of calls that withdraw a credit for unpaid time
# The cause of what an adoption shows. The organization had the plan before, so such an entry reports no change.
ADOPTED = "adopted"
USAGE = "usage"  # the actor of a change with which the quantity follows a level, and its type
USER, SALES, STRIPE, OPERATOR, SYSTEM = "user", "sales", "stripe", "operator", "system"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribution:
    """The author and the cause of an entry in the plan history."""

    actor_type: str
    """``user``: a user, through this gateway. ``usage``: a level that the quantity follows. ``sales``: a request to
    Stripe that is not ours, such as the dashboard's. ``stripe``: Stripe's billing itself. ``operator``: a person with
    our command. ``system``: the time, which ends a grant, or an unknown author of a change that we found at Stripe."""
    actor: str | None
    """The ``sub`` of the user's token, the operator's name, or ``usage``.

    None if the user only paid, or if the gateway credited an unpaid invoice.
    """
    change_id: str | None
    cause: str
    """Where we saw it: the id of the change, event or grant, or the name of the job."""


def attribute_plan(
    seen: Seen,
    changes: Mapping[str, PlanChange],
    subscription: Subscription | None,
    before: PlanState | None,
    grant: Grant | None = None,
) -> Attribution:
    """Return who changed an organization's plan and why: a change or grant of ours, or the author that Stripe names.

    ``changes`` are the organization's own changes by id. Call this before ``writer.close_changes`` closes the fulfilled
    ones. ``subscription`` is the organization's current one. ``before`` is the plan table's state before the change.
    ``grant`` is the longer trial that ``seen`` names.
    """
    if grant is not None:
        return Attribution(actor_type=OPERATOR, actor=grant.granted_by, change_id=None, cause=grant.id)
    change = find_responsible_change(seen, changes, subscription, before)
    if change is not None:
        return attribute_to_change(change, seen.cause)
    if (seen.request_key or "").startswith((PAYMENT_KEY_PREFIX, CREDIT_KEY_PREFIX)):
        actor_type = USER
    elif seen.by_request is None:
        actor_type = SYSTEM
    else:
        actor_type = SALES if seen.by_request else STRIPE
    return Attribution(actor_type=actor_type, actor=None, change_id=None, cause=seen.cause)


def attribute_to_change(change: PlanChange, cause: str) -> Attribution:
    """Return the author of a change of ours. ``cause`` says where we saw it."""
    actor_type = USAGE if change.actor == USAGE else USER
    return Attribution(actor_type=actor_type, actor=change.actor, change_id=change.id, cause=cause)


def find_responsible_change(
    seen: Seen,
    changes: Mapping[str, PlanChange],
    subscription: Subscription | None,
    before: PlanState | None,
) -> PlanChange | None:
    """Return the change of ours that changed an organization's plan, or None."""
    metadata_change_id = subscription.change_id if subscription is not None else None
    reported_id = find_reported_change_id(seen)
    change = changes.get(reported_id or "")
    if reported_id != metadata_change_id and has_live_subscription(before):
        # Our call is pending or was cancelled, so anyone else may have made this change.
        change = None
    # The metadata keep the last change's id forever. It counts only while that change is still open.
    carried_out = changes.get(metadata_change_id or "")
    if change is None and carried_out is not None and carried_out.state in OPEN_STATES:
        return carried_out
    return change


def has_live_subscription(state: PlanState | None) -> bool:
    """Return whether there was a subscription that a change could modify."""
    return state is not None and state.status not in ENDED | {NO_SUBSCRIPTION}


def find_reported_change_id(seen: Seen) -> str | None:
    """Return the id of the change whose call returned this state, or caused the event that shows it."""
    if seen.cause.startswith(CHANGE_ID_PREFIX):
        return seen.cause
    key = seen.request_key or ""
    return key.partition(":")[0] if key.startswith(CHANGE_ID_PREFIX) else None


def find_named_grant_id(seen: Seen) -> str | None:
    """Return the id of the longer trial whose call returned this state, or caused the event that shows it."""
    return next((each for each in (seen.cause, seen.request_key or "") if each.startswith(GRANT_ID_PREFIX)), None)
