"""``subscription_schedule.*`` reports changes to a subscription that sales planned ahead."""

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
    """Return the subscription that the schedule controls. There is none before the first phase begins."""
    return referred(event, "subscription")


@handles("subscription_schedule.released")
def subscription_schedule_released(event: Event) -> list[Reference]:
    """Return the released subscription, which the payload names in a separate field."""
    return referred(event, "subscription", "released_subscription")
