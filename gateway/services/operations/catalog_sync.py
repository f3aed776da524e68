"""Make Stripe's meters, products and prices match ``catalog.toml``. A second run changes nothing."""

from collections.abc import Iterator

from gateway.services.mirror.merge import merge
from gateway.services.operations.catalog_diff import Snapshots, compare_catalog
from gateway.services.runtime import Gateway


def sync_catalog(gateway: Gateway) -> Iterator[str]:
    """Remove each difference between the catalogue and Stripe, and yield a line before each of them.

    The mirror gets all products and prices of the catalogue. Raise ConfigError before anything changes, if a meter has
    other terms at Stripe.
    """
    comparison = compare_catalog(gateway.stripe, gateway.catalog)
    store(gateway, comparison.found)
    for difference in comparison.differences:
        yield difference.text
        store(gateway, difference.remove())


def store(gateway: Gateway, snapshots: Snapshots) -> None:
    """Merge products and prices into the mirror."""
    if snapshots:
        with gateway.database.transaction() as session:
            merge(session, snapshots, gateway.clock())
