"""``customer.*``: the organization at Stripe, its default card and its balance."""

from dataclasses import replace

from gateway.stripe_api.snapshots import CustomerSnapshot, Event
from handlers.registry import handles


@handles("customer.created", "customer.updated")
def customer(event: Event) -> list[CustomerSnapshot]:
    """The customer as it stood at that second."""
    return [CustomerSnapshot.from_event(event)]


@handles("customer.deleted")
def customer_deleted(event: Event) -> list[CustomerSnapshot]:
    """The payload is the last full object, not the stub that a retrieve answers (as recorded from Stripe's API).

    What is kept is what the stub would say: a refresh may come before or instead of the event.
    """
    last = CustomerSnapshot.from_event(event)
    return [replace(last, deleted=True, name=None, email=None, default_payment_method_id=None, balance=0)]
