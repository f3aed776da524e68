"""The scheduled end of a subscription. An upgrade or another interval clears it, because it buys more time.

Cancel plan clears it too, because the organization stays on the floor plan. Stripe would write the credit off with the
final invoice. Every other change keeps the end. Plan Details and the quote show it.
"""

from datetime import datetime
from typing import Literal, TypedDict

from gateway.catalog import Catalog, CatalogPlan
from gateway.services.subscription import policy
from gateway.services.subscription.billing_state import BillingState
from gateway.services.subscription.terms import find_scheduled_end


class EndParams(TypedDict, total=False):
    """The parameters of an update that clear a scheduled end. Stripe refuses both together."""

    cancel_at: Literal[""]
    cancel_at_period_end: bool


def find_cleared_end(catalog: Catalog, billing: BillingState, target: CatalogPlan) -> datetime | None:
    """Return the scheduled end that a change to ``target`` clears, or None."""
    transition = policy.find_transition(catalog, billing.plan_state.requested_plan, target)
    goes_on = transition == policy.UPGRADE or billing.contract.moves or target.is_floor
    if billing.subscription is None or not goes_on:
        return None
    return find_scheduled_end(billing.subscription)


def build_end_params(catalog: Catalog, billing: BillingState, target: CatalogPlan) -> EndParams:
    """Return the parameters that clear the end which a change to ``target`` clears.

    https://docs.stripe.com/billing/subscriptions/cancel#reactivating-canceled-subscriptions
    """
    if billing.subscription is None or find_cleared_end(catalog, billing, target) is None:
        return {}
    return {"cancel_at_period_end": False} if billing.subscription.cancel_at_period_end else {"cancel_at": ""}
