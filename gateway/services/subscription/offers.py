"""The plans of the catalogue as one organization sees them."""

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.catalog import Catalog, CatalogPlan, CatalogPrice, Metered, Tier, TiersMode, Trial
from gateway.services.runtime import Caller, Gateway
from gateway.services.subscription import policy
from gateway.services.subscription.billing_rows import TERMS
from gateway.services.subscription.billing_state import BillingState, build_billing_state
from gateway.services.subscription.pricing import find_listed, find_price, is_current
from gateway.services.subscription.terms import PlanPrice


@dataclass(frozen=True, kw_only=True)
class ListPrice(PlanPrice):
    """A price of the catalogue. Either ``unit_amount``, ``unit_amount_decimal`` or ``tiers`` holds the amounts."""

    tiers_mode: TiersMode | None
    tiers: tuple[Tier, ...]


@dataclass(frozen=True, kw_only=True)
class MeteredOffer:
    """Usage that a plan bills every month."""

    meter: str
    name: str
    included: int
    price: ListPrice | None
    """The list price in the organization's currency. None if it has the plan and pays another price for this usage."""
    prices: list[ListPrice]


@dataclass(frozen=True, kw_only=True)
class PlanOffer:
    """A plan and the action of the button beside it."""

    key: str
    name: str
    description: str
    unit: str | None
    max_quantity: int
    price: PlanPrice | None
    """The price at which the organization has the plan or would get it. The list price if it cannot get the plan."""
    prices: list[ListPrice]
    intervals: list[str]
    """The intervals at which the plan is on sale in the organization's currency."""
    metered: list[MeteredOffer]
    limits: Mapping[str, int | None]
    features: Mapping[str, bool]
    trial: Trial | None
    action: str


def list_offers(gateway: Gateway, caller: Caller) -> list[PlanOffer]:
    """Return the plans on sale by rank, and the archived plan that the organization may still have."""
    found = TERMS.read(gateway.database, {"organization_id": caller.organization_id})
    billing = build_billing_state(found, gateway.catalog, [caller.currency])
    current = billing.plan_state.requested_plan
    shown = [plan for plan in gateway.catalog.plans if not plan.archived or plan.key == current]
    return [offer_plan(gateway.catalog, billing, plan) for plan in shown]


def offer_plan(catalog: Catalog, billing: BillingState, plan: CatalogPlan) -> PlanOffer:
    """Return the offer of one plan. If the customer was deleted at Stripe, only sales can help."""
    action = policy.choose_action(catalog, billing.plan_state.requested_plan, plan, billing.contract)
    names = {meter.key: meter.name for meter in catalog.meters}
    return PlanOffer(
        key=plan.key,
        name=plan.name,
        description=plan.description,
        unit=plan.unit,
        max_quantity=plan.max_quantity,
        price=find_price(billing, plan) or (PlanPrice.of_catalog(plan.prices[0]) if plan.prices else None),
        prices=[list_price(billing, price) for price in plan.prices],
        intervals=policy.list_intervals(plan, billing.contract),
        metered=[
            MeteredOffer(
                meter=metered.meter,
                name=names[metered.meter],
                included=metered.included,
                price=find_metered_price(billing, plan, metered),
                prices=[list_price(billing, price) for price in metered.prices],
            )
            for metered in plan.metered
        ],
        limits=catalog.list_limits(plan),
        features=catalog.list_features(plan),
        trial=plan.trial,
        action=policy.CONTACT_SALES if billing.is_deleted else action,
    )


def find_metered_price(billing: BillingState, plan: CatalogPlan, metered: Metered) -> ListPrice | None:
    """Return the price of the usage, or the first one if the plan is not sold in the organization's currency.

    Return None if the organization has the plan without this price, such as after sales has agreed on another one.
    """
    of_currency = [each for each in metered.prices if each.currency == billing.contract.currency]
    found = list_price(billing, (of_currency or metered.prices)[0])
    if billing.subscription is None or not is_current(billing, plan):
        return found
    return found if found.id in {item["price_id"] for item in billing.subscription.items} else None


def list_price(billing: BillingState, price: CatalogPrice) -> ListPrice:
    """Return a price of the catalogue. It has no id while Stripe does not sell at it."""
    listed = find_listed(billing, price)
    return ListPrice(
        id=listed["id"] if listed is not None else None,
        unit_amount=price.unit_amount,
        currency=price.currency,
        interval=price.interval,
        interval_count=1,
        unit_amount_decimal=price.unit_amount_decimal,
        tiers_mode=price.tiers_mode,
        tiers=price.tiers,
    )
