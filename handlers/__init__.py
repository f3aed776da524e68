"""Turn Stripe's events into snapshots. Handlers are pure functions that use no database, no clock and no network."""

from handlers import (
    charge,
    checkout_session,
    credit_note,
    customer,
    discount,
    invoice,
    invoice_payment,
    invoice_upcoming,
    payment_intent,
    payment_method,
    price,
    product,
    setup_intent,
    subscription,
    subscription_schedule,
)
from handlers.ignored import IGNORED
from handlers.registry import HANDLERS

__all__ = [
    "HANDLERS",
    "IGNORED",
    "charge",
    "checkout_session",
    "credit_note",
    "customer",
    "discount",
    "invoice",
    "invoice_payment",
    "invoice_upcoming",
    "payment_intent",
    "payment_method",
    "price",
    "product",
    "setup_intent",
    "subscription",
    "subscription_schedule",
]
