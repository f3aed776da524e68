"""Compare the catalogue with Stripe, for a person now and for the metrics each hour."""

import structlog

from gateway.config import ConfigError
from gateway.db.checks import store_result
from gateway.errors import StripeRejected, StripeUnavailable
from gateway.services.operations.catalog_diff import compare_catalog
from gateway.services.runtime import Gateway

CHECK_NAME = "catalog"

log = structlog.get_logger()


def check_prices(gateway: Gateway) -> None:
    """Compare and store the result. If Stripe is unavailable, the last result stays."""
    try:
        problem = find_price_problem(gateway)
    except StripeUnavailable:
        log.warning("catalog_not_checked", exc_info=True)
        return
    if problem is not None:
        log.error("catalog_differs", problem=problem)
    store_result(gateway.database, CHECK_NAME, problem, gateway.clock())


def find_price_problem(gateway: Gateway) -> str | None:
    """Describe how Stripe's prices differ from the catalogue, or return None. Raise StripeUnavailable."""
    try:
        differences = compare_catalog(gateway.stripe, gateway.catalog).differences
    except ConfigError as error:  # a meter with other terms
        return str(error)
    except StripeRejected as error:
        return f"Stripe does not let this key read products and prices. Permit it in the dashboard ({error.detail})"
    if not differences:
        return None
    more = f", and {len(differences) - 1} more" if len(differences) > 1 else ""
    return f"Stripe differs ({differences[0].text}{more}). Run `gateway catalog diff`, then `gateway catalog sync`."
