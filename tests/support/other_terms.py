"""Subscriptions on terms that the catalogue does not have, as sales creates them in the dashboard."""

from typing import Any

from stripe import Subscription

from tests.support.json_types import Json
from tests.support.payment_methods import customer_of
from tests.support.world import World


def create_price(world: World, product: str = "konnect_plus", **terms: Any) -> str:
    """Create a price of a plan's product and return its id. By default it is monthly and in dollars."""
    params: Any = {"product": product, "currency": "usd", "recurring": {"interval": "month"}} | terms
    return world.stripe.v1.prices.create(params).id


def sell(world: World, price_id: str, quantity: int = 1, **more: Any) -> None:
    """Subscribe a new customer of the organization to the price, as sales does, and wait for the webhooks."""
    world.api().ok("POST", "/billing-details/setup-intent")  # creates the customer
    world.api().add_card(world.stripe)
    [customer] = world.stripe.v1.customers.list().data
    params: Any = {"customer": customer.id, "items": [{"price": price_id, "quantity": quantity}]}
    world.stripe.v1.subscriptions.create(params | more)
    world.settle()


def change_at_stripe(world: World, **params: Any) -> None:
    """Change the organization's subscription in the dashboard, and wait for the webhooks."""
    changes: Any = params
    world.stripe.v1.subscriptions.update(world.plan_row().subscription_id or "", changes)
    world.settle()


def leave_at_stripe(world: World) -> None:
    """Move the organization to Free in the dashboard, and wait for the webhooks."""
    [base, *metered] = sorted(at_stripe(world)["items"].data, key=lambda each: each.price.recurring.usage_type)
    free = world.stripe.v1.prices.list({"lookup_keys": ["konnect_free_usd_month"]}).data[0].id
    gone: Any = [{"id": each.id, "deleted": True} for each in metered]
    change_at_stripe(world, items=[{"id": base.id, "price": free}, *gone])


def at_stripe(world: World) -> Subscription:
    """Retrieve the organization's subscription from Stripe."""
    return world.stripe.v1.subscriptions.retrieve(world.plan_row().subscription_id or "")


def newest_at_stripe(world: World) -> Subscription:
    """Return the organization's newest subscription, after Stripe has done what is due."""
    return world.stripe.v1.subscriptions.list({"customer": customer_of(world), "status": "all"}).data[0]


def held_at_stripe(world: World) -> list[tuple[str | None, int | None]]:
    """Return the lookup key and the quantity of each item of the subscription at Stripe."""
    items = at_stripe(world)["items"].data
    return sorted((item.price.lookup_key, getattr(item, "quantity", None)) for item in items)


def due(quote: Json) -> int:
    """Return the whole amount that a quote says is due."""
    return int(quote["amount_due_now"]) + int(quote["amount_due_on_billing_date"])
