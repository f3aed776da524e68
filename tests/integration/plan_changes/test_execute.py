"""Every change is carried out once or ends without effect."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import select, text, update

from gateway.app import build_gateway
from gateway.db.models import PlanChange, Price, Subscription
from gateway.services.plan_changes.execute import finish_change
from gateway.services.plan_changes.request import write_intent
from schemas.changes import ChangeCommand
from tests.support.payment_methods import customer_of
from tests.support.world import CALLER, NOWHERE, World


def test_change_unverifiable_for_a_day_is_abandoned(world: World) -> None:
    world.api().ok("POST", "/subscription", plan="free")
    world.api().add_card(world.stripe)
    change_id = write_intent(world.gateway, CALLER, ChangeCommand(plan="plus"), None).change_id
    broken = build_gateway(replace(world.gateway.config, stripe_api_base=NOWHERE))
    finish_change(replace(broken, clock=lambda: datetime.now(UTC) + timedelta(hours=24)), change_id)
    broken.database.close()
    assert [row.state for row in world.rows(PlanChange) if row.id == change_id] == ["abandoned"]


def test_price_gone_before_the_second_call_fails_the_change(world: World) -> None:
    api = world.api()
    api.add_card(world.stripe)
    wanted = ChangeCommand(plan="plus", enroll=True)
    change_id = write_intent(world.gateway, CALLER, wanted, None).change_id
    with world.gateway.database.transaction() as session:
        session.execute(update(Price).values(active=False))
    finish_change(world.gateway, change_id)
    assert [row.state for row in world.rows(PlanChange) if row.id == change_id] == ["failed"]
    assert api.problem("PATCH", "/subscription", plan="plus") == (503, "catalog_not_synced")
    assert world.api("org_2").problem("POST", "/subscription", plan="free") == (503, "catalog_not_synced")


def test_moved_lookup_key_sells_the_price_that_got_it_last(world: World) -> None:
    api = world.api()
    api.ok("POST", "/subscription", plan="free")
    api.add_card(world.stripe)
    with world.gateway.database.transaction() as session:
        present = session.scalars(select(Price).where(Price.lookup_key == "konnect_plus_usd_month")).one()
        columns = {name: getattr(present, name) for name in Price.__table__.columns.keys()}  # noqa: SIM118 - not a mapping
        session.add(Price(**columns | {"id": "price_that_had_it", "as_of": datetime(2020, 1, 1, tzinfo=UTC)}))
    api.ok("PATCH", "/subscription", plan="plus")
    assert world.rows(Subscription)[0].items[0]["price_id"] == present.id


def test_subscription_made_by_sales_is_adopted(world: World) -> None:
    api = world.api()
    api.ok("POST", "/billing-details/setup-intent")  # the organization has only a customer
    customer = customer_of(world)
    [price] = world.stripe.v1.prices.list({"lookup_keys": ["konnect_free_usd_month"]}).data
    world.stripe.v1.subscriptions.create({"customer": customer, "items": [{"price": price.id}]})
    with world.gateway.database.transaction() as session:  # its webhook was lost
        session.execute(text("TRUNCATE webhook_events"))
    assert api.ok("POST", "/subscription", plan="free")["state"] == "applied"
    assert len(world.stripe.v1.subscriptions.list({"customer": customer}).data) == 1
