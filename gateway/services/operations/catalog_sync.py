"""Make Stripe's products and prices match ``catalog.toml``. A second run changes nothing."""

from collections.abc import Iterator

from stripe import StripeClient

from gateway.catalog import CatalogPlan, CatalogPrice
from gateway.db.models import Price
from gateway.errors import NotFound
from gateway.services.mirror.merge import merge
from gateway.services.runtime import Gateway
from gateway.stripe_api.client import stripe_call
from gateway.stripe_api.snapshots import PLAN, PriceSnapshot, ProductSnapshot

CAUSE = "catalog sync"


def sync_catalog(gateway: Gateway) -> Iterator[str]:
    """Update Stripe's products and prices and merge them into the mirror. Yield a line for each plan."""
    for plan in gateway.catalog.plans:
        product = ensure_product(gateway.stripe, plan)
        prices = [found for price in plan.prices for found in ensure_price(gateway.stripe, product.id, price)]
        with gateway.database.transaction() as session:
            merge(session, [product, *prices], gateway.clock())
        yield f"{plan.name}: product {product.id}, " + (f"price {prices[-1].id}" if prices else "sold by sales")


def ensure_product(stripe: StripeClient, plan: CatalogPlan) -> ProductSnapshot:
    """Return the plan's product. Create or update it if necessary.

    The gateway chooses the product's id, so concurrent runs cannot create it twice.
    """
    product_id = f"konnect_{plan.key}"
    try:
        with stripe_call():
            product = stripe.v1.products.retrieve(product_id)
    except NotFound:
        with stripe_call():
            product = stripe.v1.products.create({"id": product_id, "name": plan.name, "metadata": {PLAN: plan.key}})
    found = ProductSnapshot.from_answer(product, cause=CAUSE)
    if (found.name, found.key, found.active) == (plan.name, plan.key, True):
        return found
    with stripe_call():
        product = stripe.v1.products.update(
            product_id, {"name": plan.name, "active": True, "metadata": {PLAN: plan.key}}
        )
    return ProductSnapshot.from_answer(product, cause=CAUSE)


def ensure_price(stripe: StripeClient, product_id: str, wanted: CatalogPrice) -> list[PriceSnapshot]:
    """Return the prices that were under the lookup key, and last the one to sell at. Create that one if necessary.

    The amount of a price at Stripe cannot change. For another amount, Stripe needs a new price, which takes over the
    lookup key. The old price is archived, and its subscriptions stay on it.
    """
    with stripe_call():
        page = stripe.v1.prices.list({"lookup_keys": [wanted.lookup_key], "active": True, "limit": 1})
    found = PriceSnapshot.from_list(page, cause=CAUSE)
    if found and matches_product_and_catalog(found[0], product_id, wanted):
        return found
    with stripe_call():
        created = stripe.v1.prices.create(
            {
                "product": product_id,
                "currency": wanted.currency,
                "unit_amount": wanted.unit_amount or 0,
                "recurring": {"interval": wanted.interval},
                "lookup_key": wanted.lookup_key,
                "transfer_lookup_key": True,
            }
        )
    archived = []
    for old in found:
        with stripe_call():
            archived.append(stripe.v1.prices.update(old.id, {"active": False}))
    return [PriceSnapshot.from_answer(each, cause=CAUSE) for each in (*archived, created)]


def matches_product_and_catalog(price: PriceSnapshot, product_id: str, wanted: CatalogPrice) -> bool:
    """Return whether a price belongs to the product and matches the catalogue."""
    return price.product_id == product_id and matches_catalog(price, wanted)


def matches_catalog(price: PriceSnapshot | Price, wanted: CatalogPrice) -> bool:
    """Return whether a price has the catalogue's currency, amount and interval."""
    return (price.currency, price.unit_amount, price.interval) == (wanted.currency, wanted.unit_amount, wanted.interval)
