"""Find out whether keys and deliveries belong to one mode of Stripe, for ``gateway doctor`` and the metrics.

https://docs.stripe.com/keys#test-live-modes
"""

from datetime import timedelta

from sqlalchemy import func, select

from gateway.db.models import WebhookEvent
from gateway.services.runtime import Gateway

RECENTLY = timedelta(hours=1)
NEWEST = 1_000  # events to look at, so that a scrape costs the same under any load


def find_mode_problem(gateway: Gateway) -> str | None:
    """Describe the problem if a key or the newest events are of the other mode. Raise DatabaseUnavailable."""
    config, mode = gateway.config, gateway.config.mode
    if config.stripe_publishable_key and f"_{mode}_" not in config.stripe_publishable_key[:8]:
        return f"STRIPE_PUBLISHABLE_KEY is not of {mode} mode, but STRIPE_SECRET_KEY is. Set both for the same mode."
    newest = (
        select(WebhookEvent.livemode, WebhookEvent.state)
        .where(WebhookEvent.payload.is_not(None), WebhookEvent.received_at > gateway.clock() - RECENTLY)
        .order_by(WebhookEvent.received_at.desc())
        .limit(NEWEST)
        .subquery()
    )
    foreign = select(func.bool_or(newest.c.livemode.is_not(config.livemode) & (newest.c.state == "rejected")))
    with gateway.database.reading() as session:
        if session.scalar(foreign):
            return f"events of the other mode arrive. Replace the endpoint or the keys, so that all are of {mode} mode."
    return None
