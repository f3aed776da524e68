"""Every path the sandbox serves: one module a resource."""

from gateway.sandbox.resources import (
    accounts,
    customers,
    events,
    invoice_items,
    invoices,
    meter_events,
    meters,
    payment_intents,
    payment_methods,
    prices,
    products,
    setup_intents,
    subscription_items,
    subscriptions,
    tax_ids,
    webhook_endpoints,
)

ROUTES = [
    *accounts.routes,
    *customers.routes,
    *events.routes,
    *invoice_items.routes,
    *invoices.routes,
    *meter_events.routes,
    *meters.routes,
    *payment_intents.routes,
    *payment_methods.routes,
    *prices.routes,
    *products.routes,
    *setup_intents.routes,
    *subscription_items.routes,
    *subscriptions.routes,
    *tax_ids.routes,
    *webhook_endpoints.routes,
]
