"""Move subscriptions out of classic billing mode. There is no way back.

Classic is the mode of subscriptions that were created before 2025-09-30.
https://docs.stripe.com/billing/subscriptions/billing-mode
"""

from collections.abc import Generator
from dataclasses import dataclass

from sqlalchemy import select

from gateway.db.models import OrganizationPlan, Subscription
from gateway.errors import GatewayError, NotFound, StripeRejected
from gateway.services.mirror.refresh import merge_answer, refresh
from gateway.services.plan_table.selection import UNMAPPED
from gateway.services.rate_limits.stripe_budget import Priority, calling_as
from gateway.services.runtime import Gateway
from gateway.stripe_api.client import is_key_refused, stripe_call
from gateway.stripe_api.snapshots import ENDED, SubscriptionSnapshot

CLASSIC = "classic"


@dataclass(frozen=True, kw_only=True)
class Migration:
    """One subscription. ``refusal`` is Stripe's reason, or None if the subscription has moved."""

    organization_id: str
    subscription_id: str
    refusal: str | None


def find_classic(gateway: Gateway) -> list[tuple[str, str, int]]:
    """Return the classic subscriptions that stand for a plan: organization, subscription and revision.

    Subscriptions to other products stay in their mode, because the gateway ignores them.
    """
    query = (
        select(Subscription.organization_id, Subscription.id, Subscription.revision)
        .join(OrganizationPlan, OrganizationPlan.subscription_id == Subscription.id)
        .where(
            Subscription.billing_mode == CLASSIC,
            Subscription.status.not_in(ENDED),
            OrganizationPlan.requested_plan != UNMAPPED,
        )
        .order_by(Subscription.organization_id)
    )
    with gateway.database.reading() as session:
        return [(each.organization_id, each.id, each.revision) for each in session.execute(query)]


def migrate_all(gateway: Gateway) -> Generator[Migration]:
    """Move every subscription that ``find_classic`` finds, and yield each. Raise StripeUnavailable.

    If the process dies, the next call resumes, because the mirror knows which subscriptions have moved.
    """
    for organization_id, subscription_id, revision in find_classic(gateway):
        refusal = None
        try:
            migrate(gateway, subscription_id, revision)
        except (NotFound, StripeRejected) as error:
            if isinstance(error, StripeRejected) and is_key_refused(error):
                raise
            refusal = explain_refusal(gateway, subscription_id, error)
        yield Migration(organization_id=organization_id, subscription_id=subscription_id, refusal=refusal)


def migrate(gateway: Gateway, subscription_id: str, revision: int) -> None:
    """Move one subscription. Repeating the call is harmless, so it has no idempotency key of ours.

    Under a fixed key, Stripe would repeat a 5xx for a day.
    """
    with calling_as(Priority.RECONCILIATION), stripe_call():
        answer = gateway.stripe.v1.subscriptions.migrate(subscription_id, {"billing_mode": {"type": "flexible"}})
    merge_answer(gateway, SubscriptionSnapshot, answer, cause="migrated", after_revision=revision)


def explain_refusal(gateway: Gateway, subscription_id: str, error: GatewayError) -> str | None:
    """Return Stripe's reason, or None if the subscription has moved before. The mirror may not know it yet."""
    with calling_as(Priority.RECONCILIATION):
        refresh(gateway, SubscriptionSnapshot.kind, subscription_id)
    with gateway.database.reading() as session:
        is_classic = session.get_one(Subscription, subscription_id).billing_mode == CLASSIC
    return error.detail if is_classic else None
