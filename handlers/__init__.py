"""Stripe events to snapshots: one pure function an event type. No database, no clock, no network."""

from handlers import customer, invoice, invoice_upcoming, payment_method, price, product, subscription
from handlers.registry import HANDLERS

__all__ = ["HANDLERS", "customer", "invoice", "invoice_upcoming", "payment_method", "price", "product", "subscription"]
