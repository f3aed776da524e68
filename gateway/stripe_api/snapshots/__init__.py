"""Stripe's objects as the mirror keeps them: the one place that knows the shape of Stripe's JSON."""

from gateway.stripe_api.events import Event, UnreadableObject
from gateway.stripe_api.snapshots.base import Seen, Snapshot, Source
from gateway.stripe_api.snapshots.catalog import PriceSnapshot, ProductSnapshot
from gateway.stripe_api.snapshots.customers import CustomerSnapshot, PaymentMethodSnapshot
from gateway.stripe_api.snapshots.invoices import InvoiceSnapshot, UpcomingInvoiceSnapshot
from gateway.stripe_api.snapshots.subscriptions import ENDED, SubscriptionItem, SubscriptionSnapshot

__all__ = [
    "ENDED",
    "CustomerSnapshot",
    "Event",
    "InvoiceSnapshot",
    "PaymentMethodSnapshot",
    "PriceSnapshot",
    "ProductSnapshot",
    "Seen",
    "Snapshot",
    "Source",
    "SubscriptionItem",
    "SubscriptionSnapshot",
    "UnreadableObject",
    "UpcomingInvoiceSnapshot",
]
