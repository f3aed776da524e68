"""A quote around the end of a billing period, whose webhooks are still on their way."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from gateway.endpoints.request_context import EXTENSION
from gateway.services.mirror.refresh import refresh
from tests.support.accounts import make_customer, subscribe
from tests.support.api import ApiClient
from tests.support.clock import StripeTime
from tests.support.json_types import Json
from tests.support.world import World


def set_clocks(world: World, stripe_time: StripeTime, ours: datetime, stripes: timedelta = timedelta(0)) -> None:
    """Set our clock to ``ours`` and Stripe's clock that much later."""
    ahead = ours - datetime.now(UTC)
    later = replace(world.gateway, clock=lambda: datetime.now(UTC) + ahead)
    world.client.application.extensions[EXTENSION].gateway = later
    stripe_time.ahead = (ahead + stripes).total_seconds()


def end_of_period(world: World) -> datetime:
    end = world.plan_row().current_period_end
    assert end is not None
    return end


def test_quote_of_an_ended_period_is_refused_with_one_of_the_next(
    world: World, api: ApiClient, stripe_time: StripeTime
) -> None:
    api.ok("PATCH", "/subscription", plan="plus")
    end = end_of_period(world)
    set_clocks(world, stripe_time, end - timedelta(seconds=20))
    old = api.ok("POST", "/subscription/preview", plan="plus", quantity=3)
    world.fault("webhook_dropped", times=1000)
    set_clocks(world, stripe_time, end - timedelta(seconds=15), stripes=timedelta(seconds=30))
    refused = api("PATCH", "/subscription", quote=old["token"])
    assert (refused.status_code, refused.get_json()["code"]) == (409, "quote_stale")
    new: Json = refused.get_json()["quote"]
    assert datetime.fromisoformat(new["billing_date"]) > end
    assert api.ok("PATCH", "/subscription", quote=new["token"])["quantity"] == 3


def test_unreported_renewal_is_quoted_in_the_new_period(world: World, api: ApiClient, stripe_time: StripeTime) -> None:
    api.ok("PATCH", "/subscription", plan="plus")
    end = end_of_period(world)
    world.fault("webhook_dropped", times=1000)
    set_clocks(world, stripe_time, end + timedelta(minutes=1))
    quote = api.ok("POST", "/subscription/preview", plan="plus", quantity=4)
    assert datetime.fromisoformat(quote["billing_date"]) > end + timedelta(days=27)
    assert api.ok("PATCH", "/subscription", quote=quote["token"])["quantity"] == 4


def test_unreported_renewal_is_quoted_although_another_subscriptions_invoice_is_unknown(
    world: World, stripe_time: StripeTime
) -> None:
    customer = make_customer(world, "org_1")
    subscribe(world, customer)
    duplicate = subscribe(world, customer)
    world.settle()
    world.fault("webhook_dropped", times=1000)
    world.stripe.v1.subscriptions.cancel(duplicate, {"invoice_now": True, "prorate": True})
    refresh(world.gateway, "subscription", duplicate)
    end = end_of_period(world)
    set_clocks(world, stripe_time, end + timedelta(minutes=1))
    quote = world.api().ok("POST", "/subscription/preview", plan="plus", quantity=4)
    assert datetime.fromisoformat(quote["billing_date"]) > end + timedelta(days=27)


def test_quote_is_503_while_only_our_clock_has_passed_the_period(
    world: World, api: ApiClient, stripe_time: StripeTime
) -> None:
    api.ok("PATCH", "/subscription", plan="plus")
    set_clocks(world, stripe_time, end_of_period(world) + timedelta(seconds=5), stripes=timedelta(seconds=-60))
    assert api.problem("POST", "/subscription/preview", plan="plus", quantity=4) == (503, "period_over")
