"""``customer.subscription.*``: what an organization is subscribed to, and in what standing."""

from gateway.stripe_api.snapshots import Event, SubscriptionSnapshot
from handlers.registry import handles


@handles(
    "customer.subscription.created",
    "customer.subscription.deleted",
    "customer.subscription.paused",
    "customer.subscription.pending_update_applied",
    "customer.subscription.pending_update_expired",
    "customer.subscription.resumed",
    "customer.subscription.trial_will_end",
    "customer.subscription.updated",
)
def subscription(event: Event) -> list[SubscriptionSnapshot]:
    """The subscription as it stood at that second; ``deleted`` means that it ended, and its status says so."""
    return [SubscriptionSnapshot.from_event(event)]
