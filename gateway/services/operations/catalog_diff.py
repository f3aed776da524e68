"""Compare the catalogue with Stripe, without changing anything. Each difference knows the calls that remove it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from stripe import StripeClient

from gateway.catalog import Catalog, CatalogPlan, CatalogPrice, Meter
from gateway.config import ConfigError
from gateway.json_types import Json
from gateway.services.operations.price_terms import build_params, describe_terms, matches_stripe
from gateway.stripe_api.client import stripe_call
from gateway.stripe_api.snapshots import PLAN, PriceSnapshot, ProductSnapshot

if TYPE_CHECKING:
    from stripe.params import ProductUpdateParams

CAUSE = "catalog sync"
SOLD_UNDER = "konnect_lookup_key"  # the metadata key that names the lookup key under which a price was sold
PAGE = 100
LOOKUP_KEYS = 10  # Stripe filters by at most ten lookup keys in one call
Snapshots = Sequence[ProductSnapshot | PriceSnapshot]
MeterIds = dict[str, str]
FoundPrices = dict[str, tuple[Json, PriceSnapshot]]
"""Each price by its lookup key, as Stripe's JSON and as a snapshot."""


@dataclass(frozen=True)
class Difference:
    """A difference between the catalogue and Stripe. ``text`` is for people."""

    text: str
    remove: Callable[[], Snapshots]
    """Make Stripe match, and return the objects that this changed."""


@dataclass(frozen=True)
class Comparison:
    """The catalogue's objects that Stripe has, and how they differ from the catalogue."""

    found: Snapshots
    differences: Sequence[Difference]


def compare_catalog(stripe: StripeClient, catalog: Catalog) -> Comparison:
    """Compare all meters, products and prices. Raise ConfigError for a meter that Stripe has on other terms."""
    meter_ids: MeterIds = {}
    differences = list(compare_meters(stripe, catalog.meters, meter_ids))
    products, prices = find_products(stripe, catalog), find_prices(stripe, catalog)
    for plan in catalog.plans:
        for product, name in list_products(catalog, plan):
            found = products.get(product)
            if found is None or (found.name, found.key, found.active) != (name, plan.key, True):
                differences.append(differ_in_product(stripe, plan, product, name, found))
        for price in plan.sold_prices:
            answer, snapshot = prices.get(price.lookup_key, (None, None))
            is_ours = answer is not None and answer["product"] == find_product(plan, price)
            if answer is None or not is_ours or not matches_stripe(answer, price, find_meter(meter_ids, price)):
                differences.append(differ_in_price(stripe, plan, price, snapshot, meter_ids))
        differences += list_withdrawn(stripe, plan, prices)
    return Comparison([*products.values(), *(snapshot for _, snapshot in prices.values())], differences)


def list_products(catalog: Catalog, plan: CatalogPlan) -> list[tuple[str, str]]:
    """Return the id and the name of each product of a plan. Each meter has its own, whose name its invoice lines show.

    The gateway chooses the ids, so concurrent runs cannot create a product twice.
    """
    names = {meter.key: meter.name for meter in catalog.meters}
    metered = [(f"konnect_{plan.key}_{each.meter}", names[each.meter]) for each in plan.metered]
    return [(f"konnect_{plan.key}", plan.name), *metered]


def find_product(plan: CatalogPlan, price: CatalogPrice) -> str:
    """Return the id of the product that a price belongs to."""
    return f"konnect_{plan.key}_{price.meter}" if price.meter is not None else f"konnect_{plan.key}"


def find_products(stripe: StripeClient, catalog: Catalog) -> dict[str, ProductSnapshot]:
    """Return the plans' products by id."""
    ids = [product for plan in catalog.plans for product, _ in list_products(catalog, plan)]
    found = []
    for start in range(0, len(ids), PAGE):
        with stripe_call():
            page = stripe.v1.products.list({"ids": ids[start : start + PAGE], "limit": PAGE})
        found += ProductSnapshot.from_list(page, cause=CAUSE)
    return {each.id: each for each in found}


def find_prices(stripe: StripeClient, catalog: Catalog) -> FoundPrices:
    """Return each active price under a lookup key of the catalogue."""
    keys = [price.lookup_key for plan in catalog.plans for price in (*plan.prices, *plan.metered_prices)]
    found: FoundPrices = {}
    for start in range(0, len(keys), LOOKUP_KEYS):
        with stripe_call():
            page = stripe.v1.prices.list(
                {"lookup_keys": keys[start : start + LOOKUP_KEYS], "active": True, "expand": ["data.tiers"]}
            )
        snapshots = PriceSnapshot.from_list(page, cause=CAUSE)
        for answer, snapshot in zip(page.data, snapshots, strict=True):
            found[answer.lookup_key or ""] = (answer.to_dict(for_json=True), snapshot)
    return found


def compare_meters(stripe: StripeClient, meters: Sequence[Meter], ids: MeterIds) -> Iterator[Difference]:
    """Yield a difference for each meter that Stripe lacks or names otherwise, and add the others to ``ids``."""
    if not meters:
        return
    with stripe_call():
        page = stripe.v1.billing.meters.list({"status": "active", "limit": 100})
    known = {each.event_name: each for each in page.auto_paging_iter()}
    for meter in meters:
        found = known.get(meter.event_name)
        if found is None:
            yield Difference(f"create the meter {meter.key}", partial(create_meter, stripe, meter, ids))
            continue
        ids[meter.key] = found.id
        if (formula := found.default_aggregation.formula) != meter.aggregation:
            raise ConfigError(
                f"meter {meter.key}: Stripe aggregates {meter.event_name} by {formula}, which cannot change, "
                f"not by {meter.aggregation}. Use another event_name, or deactivate the meter {found.id} at Stripe."
            )
        if found.display_name != meter.name:
            yield Difference(
                f"rename the meter {meter.key} to {meter.name}",
                partial(rename_meter, stripe, meter, found.id),
            )


def create_meter(stripe: StripeClient, meter: Meter, ids: MeterIds) -> Snapshots:
    """Create a meter, whose events name the customer and a value. The mirror keeps no meters."""
    with stripe_call():
        created = stripe.v1.billing.meters.create(
            {
                "display_name": meter.name,
                "event_name": meter.event_name,
                "default_aggregation": {"formula": meter.aggregation},
            }
        )
    ids[meter.key] = created.id
    return []


def rename_meter(stripe: StripeClient, meter: Meter, meter_id: str) -> Snapshots:
    """Change the display name, the only field of a meter that can change."""
    with stripe_call():
        stripe.v1.billing.meters.update(meter_id, {"display_name": meter.name})
    return []


def find_meter(ids: Mapping[str, str], price: CatalogPrice) -> str | None:
    """Return the id of the price's meter. None if the price is not metered, or if the meter does not exist yet."""
    return ids.get(price.meter) if price.meter is not None else None


def differ_in_product(
    stripe: StripeClient, plan: CatalogPlan, product: str, name: str, found: ProductSnapshot | None
) -> Difference:
    """Return the difference of a product that is missing, archived, or has another name or plan."""

    def remove() -> Snapshots:
        with stripe_call():
            if found is None:
                answer = stripe.v1.products.create({"id": product, "name": name, "metadata": {PLAN: plan.key}})
            else:
                changes: ProductUpdateParams = {"name": name, "active": True, "metadata": {PLAN: plan.key}}
                answer = stripe.v1.products.update(product, changes)
        return [ProductSnapshot.from_answer(answer, cause=CAUSE)]

    return Difference(f"{plan.key}: {'create' if found is None else 'update'} the product {product}", remove)


def differ_in_price(
    stripe: StripeClient, plan: CatalogPlan, price: CatalogPrice, found: PriceSnapshot | None, meter_ids: MeterIds
) -> Difference:
    """Return the difference of a price that is missing or has other terms.

    The terms of a price at Stripe cannot change. Stripe therefore gets a new price, which takes over the lookup key.
    The old price is archived, and its subscriptions stay on it.
    """

    def remove() -> Snapshots:
        params = build_params(price, find_product(plan, price), find_meter(meter_ids, price))
        with stripe_call():
            created = stripe.v1.prices.create(params | {"metadata": {SOLD_UNDER: price.lookup_key}})
        archived = [archive_price(stripe, found.id, price.lookup_key)] if found is not None else []
        return [*archived, PriceSnapshot.from_answer(created, cause=CAUSE)]

    text = f"{plan.key}: create the price {price.lookup_key}, {describe_terms(price)}"
    return Difference(text + (f", and archive {found.id}" if found is not None else ""), remove)


def list_withdrawn(stripe: StripeClient, plan: CatalogPlan, prices: FoundPrices) -> list[Difference]:
    """Return a difference for each price of an archived plan that Stripe still sells."""
    withdrawn = [price.lookup_key for price in (*plan.prices, *plan.metered_prices) if plan.archived]
    return [
        Difference(
            f"{plan.key}: archive the price {key}, because the plan is no longer sold",
            partial(withdraw_price, stripe, prices[key][1].id, key),
        )
        for key in withdrawn
        if key in prices
    ]


def archive_price(stripe: StripeClient, price_id: str, lookup_key: str) -> PriceSnapshot:
    """Archive a price, and note its lookup key. A price that another program created does not have the note yet."""
    with stripe_call():
        answer = stripe.v1.prices.update(price_id, {"active": False, "metadata": {SOLD_UNDER: lookup_key}})
    return PriceSnapshot.from_answer(answer, cause=CAUSE)


def withdraw_price(stripe: StripeClient, price_id: str, lookup_key: str) -> Snapshots:
    """Archive a price that has no successor."""
    return [archive_price(stripe, price_id, lookup_key)]
