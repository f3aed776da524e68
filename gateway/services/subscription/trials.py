"""A trial of a plan: whether an organization may start it, and how the subscription begins and ends it.

Stripe itself ends a trial. Without a payment method it cancels the subscription, so that the organization gets nothing
extra while the gateway is down. https://docs.stripe.com/billing/subscriptions/trials
"""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from gateway.catalog import Catalog, CatalogPlan
from gateway.db.models import Subscription
from gateway.services.subscription import policy
from gateway.services.subscription.terms import Contract, find_scheduled_end
from gateway.stripe_api.snapshots import TRIALING

if TYPE_CHECKING:
    from stripe.params import SubscriptionUpdateParams

# Without a payment method, Stripe would still end the floor plan's subscription on the day of the old trial's end.
END_NOW: "SubscriptionUpdateParams" = {
    "trial_end": "now",
    "trial_settings": {"end_behavior": {"missing_payment_method": "create_invoice"}},
    "proration_behavior": "none",
}


@dataclass(frozen=True, kw_only=True)
class TrialView:
    """A trial that has not ended."""

    ends_at: datetime
    days_left: int
    """The days that have begun or are still to begin."""
    converts: bool
    """Whether Stripe bills the plan after the trial, and does not end it."""


def build_begin(trial_end: int) -> "SubscriptionUpdateParams":
    """Return the part of an update that begins a trial until ``trial_end``, in unix seconds."""
    return {
        "trial_end": trial_end,
        "trial_settings": {"end_behavior": {"missing_payment_method": "cancel"}},
        "proration_behavior": "none",
    }


def is_trialing(subscription: Subscription | None) -> bool:
    """Return whether there is a subscription and it is in a trial."""
    return subscription is not None and subscription.status == TRIALING


def find_startable(
    catalog: Catalog, current_plan: str, contract: Contract, subscription: Subscription | None, *, had_trial: bool
) -> CatalogPlan | None:
    """Return the plan whose trial the organization may start now, or None.

    If Stripe sends the invoices, it cannot end a trial for the lack of a payment method. Sales must give such a trial.
    """
    plan = catalog.trial_plan
    if plan is None or had_trial or current_plan != catalog.floor.key:
        return None
    if subscription is not None and subscription.collection_method != "charge_automatically":
        return None
    return plan if policy.choose_action(catalog, current_plan, plan, contract) == policy.UPGRADE.action else None


def view_trial(subscription: Subscription | None, *, has_method: bool, now: datetime) -> TrialView | None:
    """Return the trial as Plan Details show it, or None without one."""
    if subscription is None or not is_trialing(subscription) or subscription.trial_end is None:
        return None
    scheduled_end = find_scheduled_end(subscription)
    is_ending = scheduled_end is not None and scheduled_end <= subscription.trial_end
    ends_at = min(subscription.trial_end, scheduled_end or subscription.trial_end)
    left = math.ceil((ends_at - now) / timedelta(days=1))
    is_paid = has_method or subscription.missing_payment_method not in ("cancel", "pause")
    return TrialView(ends_at=ends_at, days_left=max(left, 0), converts=is_paid and not is_ending)
