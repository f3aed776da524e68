"""A payment method that Stripe still charges for something cannot be removed, and the refusal says for what."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from gateway.db.models import PaymentMethod, Subscription
from tests.support.api import ApiClient, problem_of
from tests.support.clock import StripeTime
from tests.support.json_types import Json
from tests.support.payment_methods import AMEX, attach, customer_of
from tests.support.world import World

IN_USE = (409, "payment_method_in_use")
DAYS_27 = timedelta(days=27).total_seconds()


@pytest.fixture
def api(cardless: ApiClient) -> ApiClient:
    """Return the interface of an organization on Free."""
    return cardless


def bill(world: World, *, finalized: bool = True) -> str:
    """Make an invoice over 12.34."""
    v1 = world.stripe.v1
    v1.invoice_items.create({"customer": customer_of(world), "amount": 1234, "currency": "usd"})
    invoice = v1.invoices.create(
        {"customer": customer_of(world), "auto_advance": False, "pending_invoice_items_behavior": "include"}
    )
    if finalized:
        v1.invoices.finalize_invoice(invoice.id, {"auto_advance": False})
    return invoice.id


def refuse(api: ApiClient, card: str) -> Json:
    """Try to remove the card. Return the problem, which says what the card is needed for."""
    answer = api("DELETE", f"/payment-methods/{card}")
    assert problem_of(answer) == IN_USE
    problem: Json = answer.get_json()
    return problem


def test_pending_items_need_the_card(world: World, api: ApiClient, stripe_time: StripeTime) -> None:
    card = api.add_card(world.stripe)
    api.ok("PATCH", "/subscription", plan="plus", quantity=100)
    stripe_time.ahead = DAYS_27
    api.ok("DELETE", "/subscription")
    subscription = world.rows(Subscription)[0].id
    upcoming = world.stripe.v1.invoices.create_preview({"subscription": subscription})
    problem = refuse(api, card)
    assert (problem["amount"], problem["currency"]) == (upcoming.amount_due, "usd")
    assert upcoming.amount_due > 0
    assert problem["billing_date"] == api.ok("GET", "/subscription")["current_period"]["end"]
    assert problem["billing_date"][:10] in problem["detail"]
    assert f"USD {upcoming.amount_due / 100:,.2f}" in problem["detail"]
    assert [row.detached for row in world.rows(PaymentMethod)] == [False]


@pytest.mark.parametrize("status", ["draft", "open", "uncollectible"])
def test_invoice_with_money_owed_needs_the_card(world: World, api: ApiClient, status: str) -> None:
    card = api.add_card(world.stripe)
    world.fault("webhook_dropped", times=100)  # the gateway need not know the invoice
    invoice = bill(world, finalized=status != "draft")
    if status == "uncollectible":
        world.stripe.v1.invoices.mark_uncollectible(invoice)
    problem = refuse(api, card)
    assert (problem["invoice"], problem["amount"], problem["currency"]) == (invoice, 1234, "usd")
    assert "USD 12.34" in problem["detail"]


@pytest.mark.parametrize("ending", ["pay", "void_invoice"])
def test_settled_invoice_needs_no_card(world: World, api: ApiClient, ending: str) -> None:
    card = api.add_card(world.stripe)
    invoice = bill(world)
    getattr(world.stripe.v1.invoices, ending)(invoice)
    assert api("DELETE", f"/payment-methods/{card}").status_code == 204


def test_unbilled_usage_needs_the_card(world: World, api: ApiClient) -> None:
    card = api.add_card(world.stripe)
    v1 = world.stripe.v1
    meter = v1.billing.meters.create(
        {"display_name": "Calls", "event_name": "calls", "default_aggregation": {"formula": "sum"}}
    )
    price = v1.prices.create(
        {
            "currency": "usd",
            "unit_amount": 5,
            "product_data": {"name": "Calls"},
            "recurring": {"interval": "month", "usage_type": "metered", "meter": meter.id},
        }
    )
    v1.subscription_items.create({"subscription": world.rows(Subscription)[0].id, "price": price.id})
    payload = {"stripe_customer_id": customer_of(world), "value": "30"}
    v1.billing.meter_events.create({"event_name": "calls", "payload": payload})
    assert refuse(api, card)["amount"] == 150


def test_card_that_is_not_charged_may_go_while_money_is_owed(world: World, api: ApiClient) -> None:
    api.add_card(world.stripe)
    other = attach(world, AMEX)
    bill(world)
    assert api("DELETE", f"/payment-methods/{other}").status_code == 204


def test_card_of_the_subscription_itself_is_protected(world: World, api: ApiClient) -> None:
    default = api.add_card(world.stripe)
    own = attach(world, AMEX)
    subscription = world.rows(Subscription)[0].id
    world.stripe.v1.subscriptions.update(subscription, {"default_payment_method": own})
    api.ok("PATCH", "/subscription", plan="plus")
    assert api.problem("DELETE", f"/payment-methods/{own}") == (409, "default_payment_method")
    assert api.problem("DELETE", f"/payment-methods/{default}") == (409, "default_payment_method")


def test_last_way_to_pay_stays_though_it_is_not_the_default(world: World, api: ApiClient) -> None:
    card = api.add_card(world.stripe)
    api.ok("PATCH", "/subscription", plan="plus")
    world.stripe.v1.customers.update(customer_of(world), {"invoice_settings": {"default_payment_method": ""}})
    assert "only payment method" in refuse(api, card)["detail"]
    attach(world, AMEX)
    assert api("DELETE", f"/payment-methods/{card}").status_code == 204


def test_refusal_leaves_nothing_in_flight(world: World, api: ApiClient) -> None:
    card = api.add_card(world.stripe)
    invoice = bill(world)
    refuse(api, card)
    assert api.ok("POST", f"/invoices/{invoice}/pay")["status"] == "paid"
    assert api("DELETE", f"/payment-methods/{card}").status_code == 204


def test_removal_of_a_card_that_the_mirror_lacked_is_known(world: World, api: ApiClient) -> None:
    world.fault("webhook_dropped", times=100)
    card = attach(world, AMEX)
    assert world.rows(PaymentMethod) == []
    assert [api("DELETE", f"/payment-methods/{card}").status_code for _ in range(2)] == [204, 204]
    assert [row.detached for row in world.rows(PaymentMethod)] == [True]


def test_card_that_the_mirror_lacked_is_removed_once(world: World, api: ApiClient) -> None:
    world.fault("webhook_dropped", times=100)
    card = attach(world, AMEX)
    world.fault("delay", method="POST", path="/v1/payment_methods/*/detach", seconds=0.3)
    token = world.token()

    def delete(_: int) -> int:
        return ApiClient(world.client.application.test_client(), token)(
            "DELETE", f"/payment-methods/{card}"
        ).status_code

    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(delete, range(2))) == [204, 204]
    assert api.ok("GET", "/payment-methods")["data"] == []
