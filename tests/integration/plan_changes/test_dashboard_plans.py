"""The plan follows what somebody sets in Stripe's dashboard."""

from structlog.testing import capture_logs

from gateway.db.models import PlanHistory, Subscription
from tests.support.api import ApiClient
from tests.support.metrics import scrape
from tests.support.world import World


def test_enterprise_set_in_the_dashboard_arrives_by_webhook(world: World, api: ApiClient) -> None:
    price = world.stripe.v1.prices.create(
        {
            "product": "konnect_enterprise",
            "currency": "usd",
            "unit_amount": 1_000_000,
            "recurring": {"interval": "month"},
        }
    )
    subscription = world.stripe.v1.subscriptions.retrieve(world.rows(Subscription)[0].id)
    item = subscription.to_dict()["items"]["data"][0]["id"]
    world.stripe.v1.subscriptions.update(subscription.id, {"items": [{"id": item, "price": price.id, "quantity": 1}]})
    world.settle()
    assert world.plan_row().plan == "enterprise"
    assert api.problem("DELETE", "/subscription") == (409, "contact_sales_required")
    assert world.rows(PlanHistory)[-1].cause.startswith("evt_")


def test_foreign_price_is_unmapped_until_an_operator_maps_it(world: World, api: ApiClient) -> None:
    product = world.stripe.v1.products.create({"name": "Somebody else's"})
    price = world.stripe.v1.prices.create(
        {"product": product.id, "currency": "usd", "unit_amount": 100, "recurring": {"interval": "month"}}
    )
    subscription = world.stripe.v1.subscriptions.retrieve(world.rows(Subscription)[0].id)
    item = subscription.to_dict()["items"]["data"][0]["id"]
    world.stripe.v1.subscriptions.update(subscription.id, {"items": [{"id": item, "price": price.id, "quantity": 1}]})
    assert unmapped(world) == 0
    with capture_logs() as logs:
        world.settle()
        assert api.ok("GET", "/subscription")["plan"] == "unmapped"
        assert api.problem("PATCH", "/subscription", quantity=8) == (409, "contact_sales_required")
        assert api.problem("POST", "/subscription/preview", quantity=8) == (409, "contact_sales_required")
        assert unmapped(world) == 1
        world.stripe.v1.subscriptions.update(subscription.id, {"cancel_at_period_end": True})  # the plan stays unmapped
        world.settle()
    assert [each["log_level"] for each in logs if each["event"] == "plan_unmapped"] == ["error"]
    world.stripe.v1.products.update(product.id, {"metadata": {"konnect_plan": "plus"}})  # an operator maps the product
    world.settle()
    assert api.ok("GET", "/subscription")["plan"] == "plus"
    assert unmapped(world) == 0


def unmapped(world: World) -> float:
    """Return how many organizations the metrics count as unmapped."""
    return scrape(world.gateway)["gateway_organizations_unmapped"]
