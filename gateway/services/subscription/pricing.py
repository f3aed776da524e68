"""The price at which an organization has a plan or would get it, and the items that buy it."""

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gateway.catalog import CatalogPlan, CatalogPrice
from gateway.errors import CatalogNotSynced
from gateway.services.subscription.billing_state import BillingState
from gateway.services.subscription.terms import PlanPrice

if TYPE_CHECKING:
    from stripe.params import SubscriptionUpdateParamsItem


def find_price(billing: BillingState, plan: CatalogPlan) -> PlanPrice | None:
    """Return the price at which the organization has ``plan``, or would get it. None if there is none.

    A plan that stays keeps its price, even if it is archived or negotiated. The floor plan costs 0 in any currency and
    interval.
    """
    if billing.subscription is not None and billing.base_item is not None and is_current(billing, plan):
        return billing.contract.show_price(PlanPrice.of_item(billing.subscription, billing.base_item))
    contract, price = billing.contract, billing.contract.find_price(plan)
    if price is not None:
        listed = find_listed(billing, price)
        if listed is None or find_metered_ids(billing, plan) is None:
            return None
        return replace(PlanPrice.of_catalog(price), id=listed["id"], unit_amount=listed["unit_amount"])
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


def find_metered_ids(billing: BillingState, plan: CatalogPlan) -> list[str] | None:
    """Return the ids of the plan's metered prices in the subscription's currency. None if Stripe lacks one of them."""
    prices = [each for metered in plan.metered for each in metered.prices if each.currency == billing.contract.currency]
    found = [find_listed(billing, price) for price in prices]
    return None if None in found else [listed["id"] for listed in found if listed is not None]


def name_prices(billing: BillingState, plan: CatalogPlan) -> str:
    """Return the ids of the prices that a change to ``plan`` buys, which a quote is bound to. Raise CatalogNotSynced.

    A plan that stays keeps its metered items, so only its own price counts.
    """
    metered = [] if is_current(billing, plan) else find_metered_ids(billing, plan) or []
    return ",".join([get_price(billing, plan).id or "", *metered])


def is_current(billing: BillingState, plan: CatalogPlan) -> bool:
    """Return whether the organization is on the plan and stays at its price, paid or not."""
    return plan.key == billing.plan_state.requested_plan and not billing.contract.moves


def get_price(billing: BillingState, plan: CatalogPlan) -> PlanPrice:
    """Return what ``find_price`` does. Raise CatalogNotSynced."""
    if (price := find_price(billing, plan)) is None:
        raise CatalogNotSynced(
            f"The gateway does not know Stripe's price for the plan {plan.key}. Run `gateway catalog sync`."
        )
    return price


def build_price(billing: BillingState, plan: CatalogPlan) -> "SubscriptionUpdateParamsItem":
    """Return the part of an item that names the price of ``plan``. Raise CatalogNotSynced.

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


def build_update_items(billing: BillingState, plan: CatalogPlan, quantity: int) -> "list[SubscriptionUpdateParamsItem]":
    """Return the items of the update that moves the subscription to ``quantity`` units of ``plan``.

    The base item carries its id, because Stripe would otherwise add a second item and bill both. It carries the
    quantity, because a new price would otherwise reset it to 1. If the plan stays, it names no price, and Stripe
    keeps the present one. https://docs.stripe.com/api/subscriptions/update
    """
    if billing.subscription is None or billing.base_item is None:
        return []
    base: SubscriptionUpdateParamsItem = {"id": billing.base_item["id"], "quantity": quantity}
    others = [item for item in billing.subscription.items if item["id"] != billing.base_item["id"]]
    if is_current(billing, plan):
        return [base, *delete_items(others if plan.is_floor else [])]
    return [base | build_price(billing, plan), *swap_others(billing, plan, others)]


def swap_others(
    billing: BillingState, plan: CatalogPlan, others: list[dict[str, Any]]
) -> "list[SubscriptionUpdateParamsItem]":
    """Return the items that replace the metered ones of the left plan by those of ``plan``.

    Stripe bills the usage of a deleted item up to now. An item of another product stays, such as support that sales
    added, unless the organization moves to the floor plan. Stripe refuses two items with one price, so a metered price
    that is there already stays too.
    """
    wanted = find_metered_ids(billing, plan) or []
    left = [item for item in others if item["id"] in billing.metered_items and item["price_id"] not in wanted]
    gone = others if plan.is_floor else left
    kept = {item["price_id"] for item in others if item not in gone}
    added: list[SubscriptionUpdateParamsItem] = [{"price": price} for price in wanted if price not in kept]
    return [*delete_items(gone), *added]


def delete_items(items: Iterable[dict[str, Any]]) -> "list[SubscriptionUpdateParamsItem]":
    """Return the parameters that delete the items."""
    return [{"id": item["id"], "deleted": True} for item in items]
