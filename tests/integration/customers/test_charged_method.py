"""The payment method that the gateway shows is the one that Stripe charges, wherever it is named."""

from typing import Any

import pytest

from gateway.db import jobs
from gateway.db.models import BillingIntent, Subscription
from gateway.services.customers.default_method import DEFAULT_CHOICE
from gateway.services.intents.completion import finish_intent
from gateway.services.intents.reservation import Kind
from tests.support.api import ApiClient
from tests.support.jobs import job_states
from tests.support.payment_methods import (
    AMEX,
    MASTERCARD,
    VISA,
    attach,
    charge_now,
    charged,
    customer_of,
    default_in_list,
    name_on_subscription,
    shown,
)
from tests.support.wait import eventually
from tests.support.world import World


@pytest.fixture
def api(cardless: ApiClient) -> ApiClient:
    """Return a client for an organization on Free without a payment method."""
    return cardless


def work_until_shown(world: World, api: ApiClient) -> None:
    """Let the worker look the payment method up, which is due after moments."""

    def is_shown() -> bool:
        world.work()
        return shown(api) is not None

    eventually(is_shown)


def test_subscriptions_own_card_is_shown_before_the_customers(world: World, api: ApiClient) -> None:
    api.add_card(world.stripe, VISA)
    api.ok("PATCH", "/subscription", plan="plus")
    own = attach(world, AMEX)
    name_on_subscription(world, own)
    assert shown(api)["id"] == own
    assert default_in_list(api) == [own]
    assert charge_now(world, 2) == own


def test_card_only_on_the_subscription_pays_for_a_change(world: World, api: ApiClient) -> None:
    own = attach(world)
    name_on_subscription(world, own)
    assert shown(api)["label"] == "Visa •••• 4242"
    assert api.ok("PATCH", "/subscription", plan="plus")["state"] == "applied"
    assert charge_now(world, 2) == own


def test_card_on_the_subscription_is_found_before_its_webhooks(world: World, api: ApiClient) -> None:
    world.fault("webhook_dropped", times=100)
    own = attach(world, MASTERCARD)
    world.stripe.v1.subscriptions.update(world.rows(Subscription)[0].id, {"default_payment_method": own})
    assert api.ok("PATCH", "/subscription", plan="plus")["state"] == "applied"
    assert shown(api)["id"] == own


def test_chosen_card_replaces_that_of_the_subscription(world: World, api: ApiClient) -> None:
    name_on_subscription(world, attach(world, VISA))
    api.ok("PATCH", "/subscription", plan="plus")
    chosen = api.add_card(world.stripe, MASTERCARD)
    assert shown(api)["id"] == chosen
    assert charge_now(world, 2) == chosen


def test_customers_default_can_be_chosen_over_the_subscriptions(world: World, api: ApiClient) -> None:
    chosen = api.add_card(world.stripe, VISA)
    api.ok("PATCH", "/subscription", plan="plus")
    name_on_subscription(world, attach(world, AMEX))
    assert api.ok("PUT", "/payment-methods/default", payment_method=chosen)["is_default"]
    assert shown(api)["id"] == chosen
    assert charge_now(world, 3) == chosen
    world.settle()
    assert shown(api)["id"] == chosen


def test_two_wrong_cards_are_both_replaced(world: World, api: ApiClient) -> None:
    api.add_card(world.stripe, VISA)
    api.ok("PATCH", "/subscription", plan="plus")
    name_on_subscription(world, attach(world, AMEX))
    chosen = attach(world, MASTERCARD)
    api.ok("PUT", "/payment-methods/default", payment_method=chosen)
    assert charge_now(world, 2) == chosen
    settings = world.stripe.v1.customers.retrieve(customer_of(world)).invoice_settings
    assert settings is not None
    assert settings.default_payment_method == chosen


def test_every_subscription_to_a_plan_gets_the_chosen_card(world: World, api: ApiClient) -> None:
    old = attach(world)
    first = name_on_subscription(world, old)
    price = world.stripe.v1.prices.list({"lookup_keys": ["konnect_plus_usd_month"]}).data[0].id
    second = world.stripe.v1.subscriptions.create(
        {"customer": customer_of(world), "items": [{"price": price}], "default_payment_method": old}
    ).id
    chosen = api.add_card(world.stripe, MASTERCARD)
    methods = [world.stripe.v1.subscriptions.retrieve(each).default_payment_method for each in (first, second)]
    assert methods == [chosen, chosen]


def test_unrelated_subscription_keeps_its_card(world: World, api: ApiClient) -> None:
    old = attach(world)
    price = world.stripe.v1.prices.create(
        {
            "currency": "usd",
            "unit_amount": 500,
            "recurring": {"interval": "month"},
            "product_data": {"name": "Training"},
        }
    ).id
    other = world.stripe.v1.subscriptions.create(
        {"customer": customer_of(world), "items": [{"price": price}], "default_payment_method": old}
    ).id
    api.add_card(world.stripe, MASTERCARD)
    assert world.stripe.v1.subscriptions.retrieve(other).default_payment_method == old


def test_choice_calls_no_subscription_that_names_no_card(world: World, api: ApiClient) -> None:
    world.fault("error_before", path="/v1/subscriptions*", times=100)
    card = attach(world)
    assert api.ok("PUT", "/payment-methods/default", payment_method=card)["is_default"]
    assert default_in_list(api) == [card]


def test_choice_that_stopped_half_way_is_completed(world: World, api: ApiClient) -> None:
    name_on_subscription(world, attach(world, AMEX))
    chosen = attach(world, MASTERCARD)
    world.fault("lock_timeout", method="POST", path="/v1/subscriptions/*", times=100)
    assert api.problem("PUT", "/payment-methods/default", payment_method=chosen) == (503, "stripe_unavailable")
    world.end_faults()
    [intent] = world.rows(BillingIntent)
    finish_intent(world.gateway, {Kind.SET_DEFAULT_PAYMENT_METHOD: DEFAULT_CHOICE}, intent.id)
    assert shown(api)["id"] == chosen
    assert world.stripe.v1.subscriptions.retrieve(world.rows(Subscription)[0].id).default_payment_method == chosen
    assert world.rows(BillingIntent) == []


@pytest.mark.parametrize("named_by", ["invoice_settings", "default_source"])
def test_default_without_an_event_of_its_own_is_looked_up(world: World, api: ApiClient, named_by: str) -> None:
    world.fault("webhook_dropped", event="payment_method.*", times=100)
    v1 = world.stripe.v1
    if named_by == "default_source":
        v1.customers.update(customer_of(world), {"source": "tok_mastercard"})
    else:
        method = attach(world, MASTERCARD)
        v1.customers.update(customer_of(world), {"invoice_settings": {"default_payment_method": method}})
    work_until_shown(world, api)
    assert shown(api)["label"] == "Mastercard •••• 4444"


def test_subscriptions_card_without_an_event_of_its_own_is_looked_up(world: World, api: ApiClient) -> None:
    world.fault("webhook_dropped", event="payment_method.*", times=100)
    subscription = world.rows(Subscription)[0].id
    world.stripe.v1.subscriptions.update(subscription, {"default_payment_method": attach(world, AMEX)})
    work_until_shown(world, api)
    assert shown(api)["label"] == "Amex •••• 8431"


@pytest.mark.usefixtures("api")
def test_known_card_is_not_looked_up(world: World) -> None:
    card = attach(world)
    world.settle()
    name_on_subscription(world, card)
    assert job_states(world, jobs.LOOK_UP) == []


def test_source_of_an_older_account_pays(world: World, api: ApiClient) -> None:
    source = world.stripe.v1.customers.update(customer_of(world), {"source": "tok_visa"}).default_source
    assert api.ok("PATCH", "/subscription", plan="plus")["state"] == "applied"
    assert shown(api)["id"] == source
    assert charge_now(world, 2) == source
    assert api.problem("DELETE", f"/payment-methods/{source}") == (409, "default_payment_method")


def test_chosen_card_replaces_the_source_of_the_subscription(world: World, api: ApiClient) -> None:
    v1 = world.stripe.v1
    source = v1.customers.update(customer_of(world), {"source": "tok_visa"}).default_source
    assert isinstance(source, str)
    v1.subscriptions.update(world.rows(Subscription)[0].id, {"default_source": source})
    api.ok("PATCH", "/subscription", plan="plus")
    chosen = api.add_card(world.stripe, MASTERCARD)
    assert shown(api)["id"] == chosen
    assert charge_now(world, 2) == chosen


@pytest.mark.parametrize("subscribed", [True, False])
def test_pay_charges_the_card_that_is_shown(world: World, api: ApiClient, subscribed: bool) -> None:
    """An invoice without a subscription follows the customer's default. Plan Details show the subscription's card."""
    api.add_card(world.stripe, VISA)
    own = attach(world, AMEX)
    subscription = name_on_subscription(world, own)
    v1 = world.stripe.v1
    item: Any = {"customer": customer_of(world), "amount": 700, "currency": "usd"}
    v1.invoice_items.create(item | ({"subscription": subscription} if subscribed else {}))
    draft: Any = {"customer": customer_of(world), "auto_advance": False, "pending_invoice_items_behavior": "include"}
    invoice = v1.invoices.create(draft | ({"subscription": subscription} if subscribed else {})).id
    v1.invoices.finalize_invoice(invoice, {"auto_advance": False})
    world.settle()
    assert api.ok("POST", f"/invoices/{invoice}/pay")["status"] == "paid"
    assert charged(world) == shown(api)["id"] == own


def test_pay_with_a_card_that_is_gone_asks_for_another(world: World, api: ApiClient) -> None:
    card = api.add_card(world.stripe, VISA)
    v1 = world.stripe.v1
    v1.invoice_items.create({"customer": customer_of(world), "amount": 700, "currency": "usd"})
    invoice = v1.invoices.create({"customer": customer_of(world), "pending_invoice_items_behavior": "include"}).id
    v1.invoices.finalize_invoice(invoice)
    world.settle()
    world.fault("webhook_dropped", times=100)
    v1.payment_methods.detach(card)
    assert api.problem("POST", f"/invoices/{invoice}/pay") == (402, "payment_method_required")


@pytest.mark.parametrize("named_by", ["subscription", "customer"])
def test_paying_card_stays_wherever_it_is_named(world: World, api: ApiClient, named_by: str) -> None:
    card = attach(world)
    if named_by == "subscription":
        name_on_subscription(world, card)
    else:
        api.ok("PUT", "/payment-methods/default", payment_method=card)
    api.ok("PATCH", "/subscription", plan="plus")
    assert api.problem("DELETE", f"/payment-methods/{card}") == (409, "default_payment_method")
    chosen = api.add_card(world.stripe, MASTERCARD)
    assert api("DELETE", f"/payment-methods/{card}").status_code == 204
    assert shown(api)["id"] == chosen


def test_removed_card_of_a_free_subscription_leaves_the_customers(world: World, api: ApiClient) -> None:
    default = api.add_card(world.stripe, VISA)
    own = attach(world, AMEX)
    name_on_subscription(world, own)
    world.fault("webhook_dropped", times=100)
    assert api("DELETE", f"/payment-methods/{own}").status_code == 204
    assert shown(api)["id"] == default
