"""Automatic tax of the subscriptions that an organization began without an address, such as a trial."""

import structlog
from sqlalchemy import select

from gateway.db.models import Subscription
from gateway.errors import BillingAddressRequired, NotFound, StripeRejected
from gateway.services.mirror.refresh import merge_answer
from gateway.services.runtime import Gateway
from gateway.stripe_api.client import stripe_call
from gateway.stripe_api.snapshots import ENDED, SubscriptionSnapshot

CAUSE = "automatic tax"

log = structlog.get_logger()


def switch_on_tax(gateway: Gateway, organization_id: str) -> None:
    """Switch on automatic tax for the running subscriptions that the gateway made or changed.

    Stripe refuses it for a subscription that has tax rates of its own or has just ended. New billing details cannot
    repair that, so a refusal is only logged.
    https://docs.stripe.com/tax/subscriptions
    """
    if not gateway.catalog.automatic_tax:
        return
    untaxed = select(Subscription.id).where(
        Subscription.organization_id == organization_id,
        Subscription.change_id.is_not(None),
        Subscription.automatic_tax.is_(False),
        Subscription.status.not_in(ENDED),
    )
    with gateway.database.reading() as session:
        found = session.scalars(untaxed.order_by(Subscription.id)).all()
    for each in found:
        try:
            with stripe_call():
                answer = gateway.stripe.v1.subscriptions.update(each, {"automatic_tax": {"enabled": True}})
        except (BillingAddressRequired, NotFound, StripeRejected):
            log.warning("automatic_tax_refused", subscription_id=each, exc_info=True)
        else:
            merge_answer(gateway, SubscriptionSnapshot, answer, cause=CAUSE)
