"""Stripe's objects as the mirror keeps them. Only this package knows the shape of Stripe's JSON."""

from gateway.stripe_api.events import Event, UnreadableObject
from gateway.stripe_api.snapshots.base import (
    Answer,
    Seen,
    Snapshot,
    Source,
    answered_at,
    body_of,
    headers_of,
    id_of,
    strict,
)
from gateway.stripe_api.snapshots.catalog import PLAN, PriceSnapshot, ProductSnapshot
from gateway.stripe_api.snapshots.charges import LOST, ChargeSnapshot
from gateway.stripe_api.snapshots.customers import ORGANIZATION_ID_KEY, CustomerSnapshot
from gateway.stripe_api.snapshots.discounts import DiscountsSnapshot
from gateway.stripe_api.snapshots.invoice_lines import LineKind
from gateway.stripe_api.snapshots.invoices import SETTLED, InvoiceSnapshot, UpcomingInvoiceSnapshot, upcoming_of
from gateway.stripe_api.snapshots.payment_methods import BANK_DEBITS, PaymentMethodSnapshot
from gateway.stripe_api.snapshots.references import Observation, Reference, discounts_of, referred, unreadable
from gateway.stripe_api.snapshots.subscriptions import (
    CHANGE_ID_KEY,
    ENDED,
    TRIALING,
    SubscriptionItem,
    SubscriptionSnapshot,
)

__all__ = [
    "BANK_DEBITS",
    "CHANGE_ID_KEY",
    "ENDED",
    "LOST",
    "ORGANIZATION_ID_KEY",
    "PLAN",
    "SETTLED",
    "TRIALING",
    "Answer",
    "ChargeSnapshot",
    "CustomerSnapshot",
    "DiscountsSnapshot",
    "Event",
    "InvoiceSnapshot",
    "LineKind",
    "Observation",
    "PaymentMethodSnapshot",
    "PriceSnapshot",
    "ProductSnapshot",
    "Reference",
    "Seen",
    "Snapshot",
    "Source",
    "SubscriptionItem",
    "SubscriptionSnapshot",
    "UnreadableObject",
    "UpcomingInvoiceSnapshot",
    "answered_at",
    "body_of",
    "discounts_of",
    "headers_of",
    "id_of",
    "referred",
    "strict",
    "unreadable",
    "upcoming_of",
]
