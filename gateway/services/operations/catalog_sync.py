"""Make Stripe's meters, products and prices match ``catalog.toml``. A second run changes nothing."""

from collections.abc import Iterator

from sqlalchemy import ARRAY, Text, bindparam, cast, func, select
from sqlalchemy.dialects.postgresql import JSONB, JSONPATH

from gateway.db.models import Subscription
from gateway.services.mirror.merge import merge
from gateway.services.operations.catalog_diff import (
    SOLD_UNDER,
    Snapshots,
    compare_catalog,
    list_products,
)
from gateway.services.runtime import Gateway
from gateway.stripe_api.client import stripe_call
from gateway.stripe_api.snapshots import ENDED


def sync_catalog(gateway: Gateway) -> Iterator[str]:
    """Yield a line for each difference between the catalogue and Stripe, and then remove them all.

    The mirror gets all products and prices of the catalogue. Raise ConfigError before anything changes, if a meter has
    other terms at Stripe.
    """
    comparison = compare_catalog(gateway.stripe, gateway.catalog)
    yield from (difference.text for difference in comparison.differences)
    changed: set[str] = set()
    for difference in comparison.differences:
        snapshots = difference.remove()
        store(gateway, snapshots)
        changed |= {snapshot.id for snapshot in snapshots}
    # The older state of a changed object could look as new as the present one. Stripe's times have whole seconds.
    store(gateway, [snapshot for snapshot in comparison.found if snapshot.id not in changed])


def store(gateway: Gateway, snapshots: Snapshots) -> None:
    """Merge products and prices into the mirror."""
    if snapshots:
        with gateway.database.transaction() as session:
            merge(session, snapshots, gateway.clock())


def find_old_prices(gateway: Gateway) -> dict[str, str]:
    """Return the lookup key that each old price of the catalogue's plans had, by the price's id.

    The sync notes it when it creates a price. A price that sales agreed on has no such note.
    """
    found = {}
    for plan in gateway.catalog.plans:
        for product, _ in list_products(gateway.catalog, plan):
            with stripe_call():
                page = gateway.stripe.v1.prices.list({"product": product, "limit": 100})
                for price in page.auto_paging_iter():
                    if price.lookup_key is None and SOLD_UNDER in price.metadata:
                        found[price.id] = price.metadata[SOLD_UNDER]
    return found


# The running subscriptions that have an item at one of the prices. An operator's command may read all subscriptions.
PRICE_IDS = func.jsonb_path_query_array(Subscription.items, cast("$[*].price_id", JSONPATH), type_=JSONB)
HOLDERS = (
    select(Subscription)
    .where(Subscription.status.not_in(ENDED), PRICE_IDS.has_any(bindparam("prices", type_=ARRAY(Text))))
    .order_by(Subscription.id)
)


def count_on_old_prices(gateway: Gateway) -> int:
    """Return how many running subscriptions have an item at an old price."""
    old = list(find_old_prices(gateway))
    with gateway.database.reading() as session:
        counted = select(func.count()).select_from(HOLDERS.order_by(None).subquery())
        return session.scalar(counted, {"prices": old}) or 0
