"""A subscription in classic billing mode is shown correctly, and refuses every change with the cause."""

from typing import Any

import pytest
import stripe

from gateway.db.models import PlanChange, Subscription
from tests.support.api import ApiClient
from tests.support.saved_state import set_up_once
from tests.support.world import World

CLASSIC: dict[str, Any] = {"billing_mode": {"type": "classic"}}


@pytest.fixture
def classic(world: World) -> ApiClient:
    """Return a client of an organization whose classic subscription a webhook brought."""
    api = world.api()

    def set_up() -> None:
        api.ok("POST", "/subscription", plan="free")
        world.settle()
        [free] = world.rows(Subscription)
        [owner] = world.stripe.v1.customers.list().data
        customer = owner.id
        world.stripe.v1.subscriptions.cancel(free.id)
        attached = world.stripe.v1.payment_methods.attach("pm_card_visa", {"customer": customer})
        world.stripe.v1.customers.update(customer, {"invoice_settings": {"default_payment_method": attached.id}})
        [plus] = world.stripe.v1.prices.list({"lookup_keys": ["konnect_plus_usd_month"]}).data
        params: Any = {"customer": customer, "items": [{"price": plus.id, "quantity": 3}], **CLASSIC}
        world.stripe.v1.subscriptions.create(params)
        world.settle()

    set_up_once(world, "on a classic subscription", set_up)
    return api


def running(world: World) -> stripe.Subscription:
    [found] = world.stripe.v1.subscriptions.list().data
    return found


def test_classic_plan_is_shown(world: World, classic: ApiClient) -> None:
    shown = classic.ok("GET", "/subscription")
    assert (shown["plan"], shown["quantity"], shown["standing"]) == ("plus", 3, "good")
    assert running(world).billing_mode.type == "classic"


def test_nothing_is_offered_that_would_be_refused(classic: ApiClient) -> None:
    shown = classic.ok("GET", "/subscription")
    assert (shown["actions"], shown["managed_by_sales"]) == (["contact_sales"], False)
    offers = {each["key"]: each["action"] for each in classic.ok("GET", "/plans")["data"]}
    assert offers == {"free": "contact_sales", "plus": "current", "enterprise": "contact_sales"}


def test_end_at_the_period_is_shown(world: World, classic: ApiClient) -> None:
    world.stripe.v1.subscriptions.update(running(world).id, {"cancel_at_period_end": True})
    world.settle()
    shown = classic.ok("GET", "/subscription")
    assert shown["ends_at"] == shown["current_period"]["end"]
    world.stripe.v1.subscriptions.update(running(world).id, {"cancel_at_period_end": False})
    world.settle()
    assert classic.ok("GET", "/subscription")["ends_at"] is None


def test_immediate_end_puts_the_organization_on_free(world: World, classic: ApiClient) -> None:
    world.stripe.v1.subscriptions.cancel(running(world).id)
    world.settle()
    assert classic.ok("GET", "/subscription")["plan"] == "free"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", "/subscription", {"quantity": 5}),
        ("PATCH", "/subscription", {"quantity": 1}),
        ("PATCH", "/subscription", {"plan": "free"}),
        ("DELETE", "/subscription", {}),
        ("POST", "/subscription", {"plan": "plus", "quantity": 5}),
        ("POST", "/subscription/preview", {"quantity": 5}),
        ("POST", "/subscription/preview", {"plan": "free"}),
    ],
)
def test_every_change_is_refused(
    world: World, classic: ApiClient, method: str, path: str, body: dict[str, Any]
) -> None:
    known = len(world.rows(PlanChange))
    answer = classic(method, path, **body)
    assert (answer.status_code, answer.get_json()["code"]) == (409, "classic_billing_mode")
    assert "classic billing mode" in answer.get_json()["detail"]
    assert len(world.rows(PlanChange)) == known
    assert running(world).items.data[0].quantity == 3


def test_migrated_subscription_can_be_changed(world: World, classic: ApiClient) -> None:
    world.stripe.v1.subscriptions.migrate(running(world).id, {"billing_mode": {"type": "flexible"}})
    world.settle()
    token = classic.ok("POST", "/subscription/preview", quantity=5)["token"]
    assert classic.ok("PATCH", "/subscription", quote=token)["state"] == "applied"


def test_ended_classic_subscription_does_not_prevent_a_new_one(world: World, classic: ApiClient) -> None:
    world.stripe.v1.subscriptions.cancel(running(world).id)
    world.settle()
    classic.ok("POST", "/subscription", plan="plus", quantity=2)
    assert running(world).billing_mode.type == "flexible"
