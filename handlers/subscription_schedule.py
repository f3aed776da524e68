"""``subscription_schedule.*``: changes of a subscription that sales planned ahead."""

from gateway.stripe_api.snapshots import Event, Reference, referred
from handlers.registry import handles


@handles(
    "subscription_schedule.aborted",
    "subscription_schedule.canceled",
    "subscription_schedule.completed",
    "subscription_schedule.created",
    "subscription_schedule.updated",
)
def subscription_schedule(event: Event) -> list[Reference]:
    """The subscription it steers; null before the first phase begins."""
    return referred(event, "subscription")


@handles("subscription_schedule.released")
def subscription_schedule_released(event: Event) -> list[Reference]:
    """The subscription that was let go stands under a name of its own."""
    return referred(event, "subscription", "released_subscription")
