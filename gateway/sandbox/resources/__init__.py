"""Every path the sandbox serves: one module a resource."""

from gateway.sandbox.resources import (
    accounts,
    charges,
    customers,
    events,
    invoice_items,
    invoices,
    payment_intents,
    payment_methods,
    prices,
    products,
    setup_intents,
    subscription_items,
    subscriptions,
    tax_ids,
    test_clocks,
    webhook_endpoints,
)

ROUTES = [
    *accounts.routes,
    *charges.routes,
    *customers.routes,
    *events.routes,
    *invoice_items.routes,
    *invoices.routes,
    *payment_intents.routes,
    *payment_methods.routes,
    *prices.routes,
    *products.routes,
    *setup_intents.routes,
    *subscription_items.routes,
    *subscriptions.routes,
    *tax_ids.routes,
    *test_clocks.routes,
    *webhook_endpoints.routes,
]
