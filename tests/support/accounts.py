"""What other programs and people make in a Stripe account: customers, subscriptions and prices."""

from typing import Any

import requests

from tests.support.world import World


def show_in_search(world: World) -> None:
    """Make Stripe's search show every object immediately."""
    url = f"{world.gateway.config.stripe_api_base}/_sandbox/settings"
    requests.post(url, json={"search_lag": 0}, timeout=5).raise_for_status()


def make_customer(world: World, organization_id: str, card: str = "pm_card_visa") -> str:
    """Make a customer with a default card that names the organization, and return its id."""
    customer = world.stripe.v1.customers.create({"metadata": {"organization_id": organization_id}})
    attached = world.stripe.v1.payment_methods.attach(card, {"customer": customer.id})
    world.stripe.v1.customers.update(customer.id, {"invoice_settings": {"default_payment_method": attached.id}})
    return customer.id


def price_id(world: World, product: str, amount: int = 9900, **recurring: Any) -> str:
    """Make a monthly price of a product, and return its id."""
    params: Any = {
        "product": product,
        "currency": "usd",
        "unit_amount": amount,
        "recurring": {"interval": "month", **recurring},
    }
    return world.stripe.v1.prices.create(params).id


def metered_price(world: World, product: str) -> str:
    """Make a metered price of a product, with a meter of its own, and return its id."""
    name = f"calls_{len(world.stripe.v1.billing.meters.list({'limit': 100}).data)}"
    meter = world.stripe.v1.billing.meters.create(
        {"display_name": name, "event_name": name, "default_aggregation": {"formula": "sum"}}
    )
    return price_id(world, product, 4, usage_type="metered", meter=meter.id)


def subscribe(
    world: World, customer: str, plan: str = "plus", *, price: str | None = None, quantity: int = 1, **more: Any
) -> str:
    """Subscribe a customer to a price, or to a new price of a plan's product. Return the subscription's id."""
    price = price or price_id(world, f"konnect_{plan}", 25000)
    params: Any = {"customer": customer, "items": [{"price": price, "quantity": quantity}], **more}
    params.setdefault("billing_mode", {"type": "flexible"})
    return world.stripe.v1.subscriptions.create(params).id
