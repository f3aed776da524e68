"""``customer.*`` carries the organization's customer at Stripe, with its default card and its balance."""

from dataclasses import replace

from gateway.stripe_api.snapshots import CustomerSnapshot, Event
from handlers.registry import handles


@handles("customer.created", "customer.updated")
def customer(event: Event) -> list[CustomerSnapshot]:
    """Return the customer as it was at the second of the event."""
    return [CustomerSnapshot.from_event(event)]


@handles("customer.deleted")
def customer_deleted(event: Event) -> list[CustomerSnapshot]:
    """Return the deleted customer as a retrieve shows it.

    Stripe answers a retrieve with a stub. The payload is the last full object, as recorded from Stripe's API. A refresh
    may come before the event or replace it, so both must store the same values.
    """
    last = CustomerSnapshot.from_event(event)
    stub = CustomerSnapshot.read({"id": last.id, "deleted": True}, last.seen)
    return [replace(stub, organization_id=last.organization_id)]
