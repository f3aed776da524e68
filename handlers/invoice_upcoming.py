"""``invoice.upcoming``: the charges, calculated days before the billing date, of an invoice that has no id yet."""

from gateway.stripe_api.snapshots import Event, UpcomingInvoiceSnapshot
from handlers.registry import handles


@handles("invoice.upcoming")
def invoice_upcoming(event: Event) -> list[UpcomingInvoiceSnapshot]:
    """What the next invoice will be, under its subscription's id."""
    return [UpcomingInvoiceSnapshot.from_event(event)]
