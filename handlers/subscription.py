"""``customer.subscription.*`` reports what an organization is subscribed to, and its standing."""

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
    """Return the subscription as it was at the second of the event. After ``deleted``, its status says so."""
    return [SubscriptionSnapshot.from_event(event)]
