"""The parameters of the calls that subscribe an organization, and that move its subscription to another plan."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, cast

from sqlalchemy.orm import Session

from gateway.catalog import Catalog, CatalogPlan, Charge
from gateway.db.models import TRIAL_END, Organization, PlanChange
from gateway.errors import NoImmediateCharge
from gateway.json_types import Json
from gateway.services.subscription.billing_state import BillingState
from gateway.services.subscription.pricing import build_price, build_update_items
from gateway.services.subscription.scheduled_end import build_end_params
from gateway.services.subscription.settlement import (
    MONTHLY,
    build_restart,
    choose_settlement,
    keeps_pending_for_a_year,
    restarts_periods,
)
from gateway.services.subscription.tax import build_tax_params
from gateway.services.subscription.trials import END_NOW, build_begin, is_trialing
from gateway.stripe_api.snapshots import CHANGE_ID_KEY, ORGANIZATION_ID_KEY
from gateway.stripe_api.times import to_unix

if TYPE_CHECKING:
    from stripe.params import (
        SubscriptionCreateParams,
        SubscriptionCreateParamsItem,
        SubscriptionUpdateParams,
        SubscriptionUpdateParamsCancellationDetails,
    )

SETTLEMENT: "Mapping[Charge, SubscriptionUpdateParams]" = MappingProxyType(
    {
        # The prorations wait as pending invoice items for the billing date. Each call says so explicitly, like the
        # flexible billing mode that this depends on.
        "on_billing_date": {"proration_behavior": "create_prorations"},
        # Stripe invoices the change immediately. If the payment fails, Stripe saves neither the change nor the invoice,
        # so older items stay pending. If the cardholder must approve, ``payment.hold_back`` changes the call.
        "now": {
            "proration_behavior": "always_invoice",
            "payment_behavior": "error_if_incomplete",
            "expand": ["latest_invoice.payments"],
        },
    }
)


def build_creation(session: Session, catalog: Catalog, change: PlanChange, billing: BillingState) -> Json:
    """Return the parameters that enrol the organization: a subscription to the floor plan.

    The later update depends on its flexible billing mode.
    """
    organization = session.get_one(Organization, change.organization_id)
    # This call only enrols. The subscription names a change to a paid plan from the next call on.
    metadata = {CHANGE_ID_KEY: change.id} if change.to_plan == catalog.floor.key else {}
    return dict(build_floor_subscription(organization, catalog, billing, metadata))


def build_floor_subscription(
    organization: Organization, catalog: Catalog, billing: BillingState, metadata: dict[str, str]
) -> "SubscriptionCreateParams":
    """Return the parameters that subscribe the organization to the floor plan."""
    params: SubscriptionCreateParams = {
        "customer": organization.stripe_customer_id or "",
        "items": [cast("SubscriptionCreateParamsItem", {**build_price(billing, catalog.floor), "quantity": 1})],
        "billing_mode": {"type": "flexible"},
        "metadata": {ORGANIZATION_ID_KEY: organization.id, **metadata},
    }
    tax = build_tax_params(catalog, billing, catalog.floor, is_free_now=True)
    return params | cast("SubscriptionCreateParams", tax)


def build_update(catalog: Catalog, change: PlanChange, billing: BillingState, *, buys: bool) -> Json:
    """Return the parameters that swap the base item's price.

    Stripe prorates from the quote's second. Without a quote it prorates from the second in which it makes the change.
    It prorates nothing if the change begins or ends a trial, and then accepts no second.
    Raise NoImmediateCharge if the change buys more and must be paid first, but cannot be. A change that buys nothing
    need not wait for a payment.
    """
    target = catalog.get(change.to_plan)
    is_free_now = TRIAL_END in change.steps or is_trialing(billing.subscription)
    params: SubscriptionUpdateParams = {
        "items": build_update_items(billing, target, change.quantity),
        "metadata": {CHANGE_ID_KEY: change.id},
        **build_settlement(catalog, change, billing, target),
        **build_end_params(catalog, billing, target),
        **build_tax_params(catalog, billing, target, is_free_now=is_free_now),
    }
    if "payment_behavior" in params:
        if not buys:
            del params["payment_behavior"]
        elif (obstacle := billing.find_immediate_charge_obstacle()) is not None:
            raise NoImmediateCharge(obstacle)
    if billing.contract.interval == "year" and keeps_pending_for_a_year(billing.subscription):
        params = MONTHLY | params
    if change.cancellation is not None:
        params["cancellation_details"] = cast("SubscriptionUpdateParamsCancellationDetails", change.cancellation)
    if change.proration_date is not None and params["proration_behavior"] != "none":
        params["proration_date"] = to_unix(change.proration_date)
    return dict(params)


def build_settlement(
    catalog: Catalog, change: PlanChange, billing: BillingState, target: CatalogPlan
) -> "SubscriptionUpdateParams":
    """Return the part of the update that says when Stripe charges it. A change within a trial keeps the trial's end.

    Flexible billing mode keeps the old billing date unless the call says otherwise.
    https://docs.stripe.com/billing/subscriptions/billing-mode/compare
    """
    if TRIAL_END in change.steps:
        return build_begin(change.steps[TRIAL_END])
    if target.is_floor and is_trialing(billing.subscription):
        return END_NOW
    settlement = SETTLEMENT[choose_settlement(catalog, billing, change.from_plan, target, change.quantity)]
    return {**settlement, **build_restart(billing)} if restarts_periods(billing) else settlement
