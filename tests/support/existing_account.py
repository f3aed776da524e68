"""A Stripe account with customers and subscriptions that other programs created."""

import json
from typing import Any

from stripe import StripeClient

from gateway.db.models import Organization
from gateway.sandbox import Sandbox
from tests.support.json_types import Json
from tests.support.world import World


def list_links(world: World) -> dict[str, str | None]:
    """Return each organization's customer."""
    return {each.id: each.stripe_customer_id for each in world.rows(Organization)}


def existing_customer(
    stripe: StripeClient,
    *,
    plan: str | None = "plus",
    quantity: int = 3,
    card: str | None = "pm_card_visa",
    metadata: dict[str, str] | None = None,
    **subscription: Any,
) -> str:
    """Create a customer as another program does, with a card and a subscription to the plan. Return its id."""
    customer = stripe.v1.customers.create({"name": "Ada", "email": "ada@example.test", "metadata": metadata or {}})
    if card is not None:
        attached = stripe.v1.payment_methods.attach(card, {"customer": customer.id})
        stripe.v1.customers.update(customer.id, {"invoice_settings": {"default_payment_method": attached.id}})
    if plan is not None:
        subscribe(stripe, customer.id, plan, quantity, **subscription)
    return customer.id


def subscribe(stripe: StripeClient, customer_id: str, plan: str, quantity: int = 1, **more: Any) -> None:
    """Subscribe a customer to a plan as another program does."""
    [price] = stripe.v1.prices.list({"lookup_keys": [f"konnect_{plan}_usd_month"]}).data
    params: Any = {"customer": customer_id, "items": [{"price": price.id, "quantity": quantity}]}
    stripe.v1.subscriptions.create(params | more)


def multiply(sandbox: Sandbox, customer_id: str, count: int, metadata_key: str) -> None:
    """Copy a customer with all its objects. The copies name ``org_0``, ``org_1`` … under ``metadata_key``.

    The copies go directly into the sandbox's store, because requests would take minutes for ten thousand.
    """
    engine = sandbox._engine  # noqa: SLF001 - no request can do this
    kinds = ("customer", "payment_method", "subscription", "invoice")
    with engine.lock:
        work = engine.begin(int(engine.clock()))
        objects = [work.get("customer", customer_id)]
        objects += [each for kind in kinds[1:] for each in work.select(kind, customer_id)]
        text = json.dumps(objects)
        ids = [each["id"] for each in objects] + [
            item["id"] for each in objects if each["object"] == "subscription" for item in each["items"]["data"]
        ]
        for number in range(count):
            copy = text
            for each in ids:
                copy = copy.replace(each, f"{each}x{number}")
            copied: list[Json] = json.loads(copy)
            copied[0]["metadata"] = {metadata_key: f"org_{number}"}
            tables: dict[str, dict[str, Json | None]] = {}
            for each in copied:
                tables.setdefault(each["object"], {})[each["id"]] = each
            engine.store.commit(tables)
