"""``invoice.upcoming`` carries the next invoice, which has no id yet, days before the billing date."""

from gateway.stripe_api.snapshots import Event, UpcomingInvoiceSnapshot
from handlers.registry import handles


@handles("invoice.upcoming")
def invoice_upcoming(event: Event) -> list[UpcomingInvoiceSnapshot]:
    """Return the next invoice under its subscription's id."""
    return [UpcomingInvoiceSnapshot.from_event(event)]
