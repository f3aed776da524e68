"""Puts payment methods on file at Stripe, and tells which one Stripe charges and which one the gateway shows."""

from typing import Any

from gateway.db.models import Organization, Subscription
from tests.support.api import ApiClient
from tests.support.world import World

VISA, MASTERCARD, AMEX = "pm_card_visa", "pm_card_mastercard", "pm_card_amex"


def customer_of(world: World) -> str:
    return world.rows(Organization)[0].stripe_customer_id or ""


def subscription_of(world: World) -> str:
    return world.rows(Subscription)[0].id


def attach(world: World, template: str = VISA) -> str:
    """Put a payment method on file at Stripe, without the gateway."""
    return world.stripe.v1.payment_methods.attach(template, {"customer": customer_of(world)}).id


def name_on_subscription(world: World, method: str) -> str:
    """Make the subscription name the payment method, as Checkout does. Return the subscription's id."""
    subscription = subscription_of(world)
    world.stripe.v1.subscriptions.update(subscription, {"default_payment_method": method})
    world.settle()
    return subscription


def shown(api: ApiClient) -> Any:
    """Return the payment method in Plan Details."""
    return api.ok("GET", "/subscription")["payment_method"]


def default_in_list(api: ApiClient) -> list[str]:
    """Return the ids that the list calls the default."""
    return [each["id"] for each in api.ok("GET", "/payment-methods")["data"] if each["is_default"]]


def charge_now(world: World, quantity: int) -> Any:
    """Change the quantity at Stripe, which charges it immediately. Return the payment method that paid."""
    subscription = world.stripe.v1.subscriptions.retrieve(subscription_of(world))
    changed: Any = {"id": subscription["items"].data[0].id, "quantity": quantity}
    world.stripe.v1.subscriptions.update(subscription.id, {"items": [changed], "proration_behavior": "always_invoice"})
    return charged(world)


def charged(world: World) -> Any:
    """Return the payment method of the last charge at Stripe."""
    return world.stripe.v1.charges.list({"customer": customer_of(world), "limit": 1}).data[0].payment_method
