"""The merge misses nothing that arrives during it or out of order."""

from concurrent.futures import ThreadPoolExecutor

import orjson
import pytest
from sqlalchemy import text

from gateway.db.models import Organization, Subscription, WebhookEvent
from gateway.services.mirror.merge import merge
from gateway.services.webhooks import drain
from gateway.stripe_api.snapshots import SubscriptionSnapshot
from handlers import HANDLERS
from tests.support.stripe_events import deliver
from tests.support.wait import eventually
from tests.support.world import World


def test_product_mapped_during_a_merge_is_not_missed(world: World) -> None:
    world.api().ok("POST", "/subscription", plan="free")
    world.settle()
    product = world.stripe.v1.products.create({"name": "Custom", "metadata": {"konnect_plan": "plus"}})
    price = world.stripe.v1.prices.create(
        {"product": product.id, "currency": "usd", "unit_amount": 0, "recurring": {"interval": "month"}}
    )
    eventually(lambda: any(row.object_id == product.id for row in world.rows(WebhookEvent)))
    subscription = world.stripe.v1.subscriptions.retrieve(world.rows(Subscription)[0].id)
    item = subscription.to_dict()["items"]["data"][0]["id"]
    moved = world.stripe.v1.subscriptions.update(
        subscription.id, {"items": [{"id": item, "price": price.id, "quantity": 1}]}
    )
    revision = world.rows(Subscription)[0].revision
    snapshot = SubscriptionSnapshot.from_answer(moved, cause="test", after_revision=revision)
    with ThreadPoolExecutor(1) as other:
        with world.gateway.database.transaction() as session:
            merge(session, [snapshot], world.gateway.clock())  # the catalogue does not know the product yet
            product_event = other.submit(drain.drain_inbox, world.gateway, HANDLERS)
            eventually(lambda: world.blocked() > 0 or product_event.done())  # a correct drain waits for our lock
        product_event.result()
    assert world.plan_row().plan == "plus"


@pytest.mark.parametrize("api_version", ["2026-10-28.endive", "2019-01-01"])
def test_card_detached_before_its_first_event_does_not_come_back(world: World, api_version: str) -> None:
    api = world.api()
    api.ok("POST", "/subscription", plan="free")
    card = api.add_card(world.stripe)
    world.stripe.v1.payment_methods.detach(card)
    events = [each for each in world.stripe.v1.events.list({"limit": 100}) if each.type.startswith("payment_method.")]
    with world.gateway.database.transaction() as session:
        session.execute(text("TRUNCATE webhook_events, payment_methods"))
    for each in events:  # newest first: detached before attached
        deliver(world, orjson.dumps({**each.to_dict(for_json=True), "api_version": api_version}))
        world.work()
    assert api.ok("GET", "/subscription")["payment_method"] is None
    with world.gateway.database.transaction() as session:
        assert session.scalar(text("SELECT detached FROM payment_methods")) is True


def test_merge_of_a_customer_leaves_its_subscriptions_unwritten(world: World) -> None:
    world.api().ok("POST", "/subscription", plan="free")
    world.settle()
    before = subscription_versions(world)
    customer_id = world.rows(Organization)[0].stripe_customer_id
    assert customer_id is not None
    world.stripe.v1.customers.update(customer_id, {"name": "Renamed"})
    world.settle()
    assert world.rows(Organization)[0].name == "Renamed"
    assert (len(before), subscription_versions(world)) == (1, before)


def subscription_versions(world: World) -> list[str]:
    """Return PostgreSQL's place of each row. Every write gives the row another place."""
    with world.gateway.database.transaction() as session:
        return list(session.scalars(text("SELECT ctid::text FROM subscriptions ORDER BY id")))
