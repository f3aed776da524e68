"""Bound how many stolen cards a thief can test. A thief tries one card after another until Stripe accepts one.

A payment reserves its place before the call and releases it unless Stripe declines it. If declines were only counted
afterwards, any number of concurrent payments would pass the check first.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import structlog
from limits import RateLimitItem
from sqlalchemy.orm import Session

from gateway.errors import CardDeclined, DatabaseUnavailable, RateLimited
from gateway.services.rate_limits.counts import COUNT, FIND, build_parameters, digest, find_wait, read_windows
from gateway.services.rate_limits.table import DECLINES, multiply
from gateway.services.runtime import Gateway

log = structlog.get_logger()


@contextmanager
def refuse_after_declines(gateway: Gateway, organization_id: str) -> Iterator[None]:
    """Refuse the payment in the block after too many declines. Count the block if it raises CardDeclined.

    Raise RateLimited. No transaction is open during the block. If the process dies in it, the payment stays counted.
    """
    limits = build_limits(gateway, organization_id)
    wait = find_wait(read_windows(gateway.database.read(COUNT, build_counts(limits, 1))), limits)
    declined = False
    try:
        if wait is not None:
            raise build_error(wait)
        yield
    except CardDeclined:
        declined = True
        raise
    finally:
        if not declined:
            release_place(gateway, limits)


def release_place(gateway: Gateway, limits: Mapping[str, RateLimitItem]) -> None:
    """Release the place of a payment that Stripe did not decline."""
    try:
        gateway.database.read(COUNT, build_counts(limits, -1))
    except DatabaseUnavailable:  # raising it would hide from the caller what became of the payment
        log.warning("payment_stays_counted", exc_info=True)


def check_declines(session: Session, gateway: Gateway, organization_id: str) -> None:
    """Raise RateLimited if the organization may not try another payment now."""
    limits = build_limits(gateway, organization_id)
    windows = read_windows(session.connection().exec_driver_sql(FIND, {"keys": list(limits)}).all())
    if (wait := find_wait(windows, limits, next_one=1)) is not None:
        raise build_error(wait)


def count_decline(session: Session, gateway: Gateway, organization_id: str) -> None:
    """Count in ``session`` that Stripe declined a payment of the organization."""
    session.connection().exec_driver_sql(COUNT, build_counts(build_limits(gateway, organization_id), 1))


def build_limits(gateway: Gateway, organization_id: str) -> dict[str, RateLimitItem]:
    """Return the limits on declines by the keys that count them."""
    limits = multiply(DECLINES, gateway.config.rate_limit_factor)
    return {each.key_for("declines", digest(organization_id)): each for each in limits}


def build_counts(limits: Mapping[str, RateLimitItem], amount: int) -> dict[str, object]:
    """Return the parameters of ``COUNT`` for all ``limits``."""
    return build_parameters(((key, each.get_expiry()) for key, each in limits.items()), amount)


def build_error(wait: int) -> RateLimited:
    """Return the error of an organization that must wait ``wait`` seconds."""
    return RateLimited(
        "The bank declined too many payments. Please try again later or contact the bank.",
        headers={"Retry-After": str(wait)},
    )
