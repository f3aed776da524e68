"""The price at which an organization has a plan or would get it, and the items that buy it."""

from dataclasses import replace
from typing import Any

from stripe.params import SubscriptionUpdateParamsItem

from gateway.catalog import CatalogPlan, CatalogPrice
from gateway.errors import CatalogNotSynced
from gateway.services.subscription.billing_state import BillingState
from gateway.services.subscription.terms import PlanPrice


def find_price(billing: BillingState, plan: CatalogPlan) -> PlanPrice | None:
    """Return the price at which the organization has ``plan``, or would get it. None if there is none.

    A plan that stays keeps its price, even if it is archived or negotiated. The floor plan costs 0 in any currency and
    interval.
    """
    if billing.subscription is not None and billing.base_item is not None and is_current(billing, plan):
        return PlanPrice.of_item(billing.subscription, billing.base_item)
    contract, price = billing.contract, billing.contract.find_price(plan)
    if price is not None:
        listed = find_listed(billing, price)
        found = PlanPrice.of_catalog(price)
        return replace(found, id=listed["id"], unit_amount=listed["unit_amount"]) if listed is not None else None
    if not plan.is_floor or find_listed(billing, plan.prices[0]) is None:
        return None
    return PlanPrice(
        id=None,
        unit_amount=0,
        currency=contract.currency,
        interval=contract.interval,
        interval_count=contract.interval_count,
    )


def find_listed(billing: BillingState, price: CatalogPrice) -> dict[str, Any] | None:
    """Return the price that Stripe sells at now under a price's lookup key. None for one on other terms."""
    listed = billing.prices.get(price.lookup_key)
    if listed is None or (listed["currency"], listed["interval"]) != (price.currency, price.interval):
        return None
    return listed


def is_current(billing: BillingState, plan: CatalogPlan) -> bool:
    """Return whether the organization is on the plan, paid or not."""
    return plan.key == billing.plan_state.requested_plan


def get_price(billing: BillingState, plan: CatalogPlan) -> PlanPrice:
    """Return what ``find_price`` does. Raises CatalogNotSynced."""
    if (price := find_price(billing, plan)) is None:
        raise CatalogNotSynced(
            f"The gateway does not know Stripe's price for the plan {plan.key}. Run `gateway catalog sync`."
        )
    return price


def build_price(billing: BillingState, plan: CatalogPlan) -> SubscriptionUpdateParamsItem:
    """Return the part of an item that names the price of ``plan``. Raises CatalogNotSynced.

    Only the floor plan may need a price that Stripe does not have yet. Stripe then creates it together with the item.
    https://docs.stripe.com/products-prices/pricing-models#inline-pricing
    """
    price = get_price(billing, plan)
    if price.id is not None:
        return {"price": price.id}
    product_id = billing.prices[plan.prices[0].lookup_key]["product_id"]
    return {
        "price_data": {
            "product": product_id,
            "currency": price.currency,
            "unit_amount": price.unit_amount or 0,
            "recurring": {"interval": price.interval, "interval_count": price.interval_count},
        }
    }


def build_update_items(billing: BillingState, plan: CatalogPlan, quantity: int) -> list[SubscriptionUpdateParamsItem]:
    """Return the items of the update that moves the subscription to ``quantity`` units of ``plan``.

    The base item carries its id, because Stripe would otherwise add a second item and bill both. It carries the
    quantity, because a new price would otherwise reset it to 1. If the plan stays, it names no price, and Stripe
    keeps the present one. A move to the floor plan deletes all other items, and Stripe bills their usage up to then.
    https://docs.stripe.com/api/subscriptions/update
    """
    if billing.subscription is None or billing.base_item is None:
        return []
    others = [item["id"] for item in billing.subscription.items if item["id"] != billing.base_item["id"]]
    base: SubscriptionUpdateParamsItem = {"id": billing.base_item["id"], "quantity": quantity}
    if not is_current(billing, plan):
        base |= build_price(billing, plan)
    gone: list[SubscriptionUpdateParamsItem] = [{"id": each, "deleted": True} for each in others]
    return [base, *gone] if plan.is_floor else [base]
