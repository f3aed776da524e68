"""Plan Details show the right card, the gateway charges it, and a card in use cannot be deleted."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from gateway.app import build_gateway, create_app
from gateway.db.models import Organization, PaymentMethod
from gateway.endpoints.request_context import EXTENSION
from gateway.services.plan_changes.request import write_intent
from schemas.changes import ChangeCommand
from tests.support.api import ApiClient
from tests.support.json_types import Json
from tests.support.payment_methods import attach, customer_of
from tests.support.wait import eventually
from tests.support.world import CALLER, NOWHERE, World


@pytest.fixture
def api(cardless: ApiClient) -> ApiClient:
    """Return a client for an organization on Free."""
    return cardless


def choose(world: World, card: str) -> None:
    """Make the card the default at Stripe, without the gateway."""
    world.stripe.v1.customers.update(customer_of(world), {"invoice_settings": {"default_payment_method": card}})


def shown(world: World) -> Json | None:
    """Return the card in Plan Details. Stripe is unreachable, so the request cannot call it."""
    broken = create_app(build_gateway(replace(world.gateway.config, stripe_api_base=NOWHERE)))
    details = ApiClient(broken.test_client(), world.token()).ok("GET", "/subscription")
    broken.extensions[EXTENSION].close()
    card: Json | None = details["payment_method"]
    return card


def in_2040(world: World) -> ApiClient:
    """Return a client of the gateway in 2040, when every test card has expired."""
    later = replace(world.gateway, clock=lambda: datetime(2040, 1, 1, tzinfo=UTC))
    return ApiClient(create_app(later).test_client(), world.token())


def test_card_added_in_the_browser_arrives_by_webhook(world: World, api: ApiClient) -> None:
    intent = api.ok("POST", "/billing-details/setup-intent")["client_secret"].split("_secret_")[0]
    card = world.stripe.v1.setup_intents.confirm(intent, {"payment_method": "pm_card_visa"}).payment_method
    assert world.rows(PaymentMethod) == []
    world.settle()
    assert [row.id for row in world.rows(PaymentMethod)] == [card]
    assert shown(world) is None  # on file, but not the default yet


@pytest.mark.usefixtures("api")
def test_a_default_chosen_at_stripe_shows_in_plan_details(world: World) -> None:
    choose(world, attach(world, "pm_card_mastercard"))
    world.settle()
    assert (shown(world) or {})["brand"] == "mastercard"


@pytest.mark.usefixtures("api")
def test_a_card_that_the_bank_renewed_shows_its_new_date(world: World) -> None:
    card = attach(world)
    choose(world, card)
    world.settle()
    world.stripe.v1.payment_methods.update(card, {"card": {"exp_month": 3, "exp_year": 2039}})
    world.settle()
    found = shown(world) or {}
    assert (found["exp_month"], found["exp_year"]) == (3, 2039)


@pytest.mark.usefixtures("api")
def test_card_detached_at_stripe_disappears(world: World) -> None:
    card = attach(world)
    choose(world, card)
    world.settle()
    world.stripe.v1.payment_methods.detach(card)
    world.settle()
    assert shown(world) is None
    assert world.rows(Organization)[0].default_payment_method_id is None
    assert [row.detached for row in world.rows(PaymentMethod)] == [True]


@pytest.mark.usefixtures("api")
def test_detached_card_is_hidden_without_a_customer_event(world: World) -> None:
    card = attach(world)
    choose(world, card)
    world.settle()
    world.fault("webhook_dropped", event="customer.updated", times=100)
    world.stripe.v1.payment_methods.detach(card)

    def detachment_is_known() -> bool:
        world.work()
        return world.rows(PaymentMethod)[0].detached

    eventually(detachment_is_known)
    assert world.rows(Organization)[0].default_payment_method_id == card
    assert shown(world) is None


def test_deleting_a_card_twice_succeeds_twice(world: World, api: ApiClient) -> None:
    card = api.add_card(world.stripe)
    assert [api("DELETE", f"/payment-methods/{card}").status_code for _ in range(2)] == [204, 204]
    assert api.ok("GET", "/payment-methods")["data"] == []


def test_concurrent_deletions_of_a_card_are_all_204(world: World, api: ApiClient) -> None:
    card = api.add_card(world.stripe)
    token = world.token()

    def delete(_: int) -> int:
        return ApiClient(world.client.application.test_client(), token)(
            "DELETE", f"/payment-methods/{card}"
        ).status_code

    with ThreadPoolExecutor(4) as threads:
        assert set(threads.map(delete, range(8))) == {204}


def test_deleting_a_card_notices_its_unreported_detachment(world: World, api: ApiClient) -> None:
    card = api.add_card(world.stripe)
    world.settle()
    world.fault("webhook_dropped", times=100)
    world.stripe.v1.payment_methods.detach(card)
    assert api("DELETE", f"/payment-methods/{card}").status_code == 204
    world.work()
    assert [row.detached for row in world.rows(PaymentMethod)] == [True]


def test_another_organizations_deleted_card_is_404(world: World, api: ApiClient) -> None:
    theirs = world.api("org_2")
    card = theirs.add_card(world.stripe)
    assert theirs("DELETE", f"/payment-methods/{card}").status_code == 204
    assert api.problem("DELETE", f"/payment-methods/{card}") == (404, "not_found")
    assert api.problem("DELETE", "/payment-methods/pm_never") == (404, "not_found")


def test_default_card_can_be_deleted_once_another_one_pays(world: World, api: ApiClient) -> None:
    first = api.add_card(world.stripe)
    api.ok("PATCH", "/subscription", plan="plus")
    assert api.problem("DELETE", f"/payment-methods/{first}") == (409, "default_payment_method")
    api.add_card(world.stripe, "pm_card_mastercard")
    assert api("DELETE", f"/payment-methods/{first}").status_code == 204


def test_default_just_chosen_at_stripe_cannot_be_deleted(world: World, api: ApiClient) -> None:
    api.add_card(world.stripe)
    api.ok("PATCH", "/subscription", plan="plus")
    second = attach(world, "pm_card_mastercard")
    choose(world, second)  # its webhook is not processed yet
    assert api.problem("DELETE", f"/payment-methods/{second}") == (409, "default_payment_method")


def test_on_free_the_default_may_be_deleted(world: World, api: ApiClient) -> None:
    card = api.add_card(world.stripe)
    api.ok("PATCH", "/subscription", plan="plus")
    api.ok("DELETE", "/subscription")
    assert api("DELETE", f"/payment-methods/{card}").status_code == 204
    assert shown(world) is None


def test_expired_card_is_marked_and_pays_for_nothing(world: World, api: ApiClient) -> None:
    card = api.add_card(world.stripe)
    assert [each["is_expired"] for each in api.ok("GET", "/payment-methods")["data"]] == [False]
    late = in_2040(world)
    assert [each["is_expired"] for each in late.ok("GET", "/payment-methods")["data"]] == [True]
    assert late.problem("PUT", "/payment-methods/default", payment_method=card) == (402, "card_expired")
    assert late.problem("PATCH", "/subscription", plan="plus") == (402, "payment_method_required")


def test_renewed_card_pays_without_a_webhook(world: World, api: ApiClient) -> None:
    card = api.add_card(world.stripe)
    world.settle()
    world.fault("webhook_dropped", times=100)
    world.stripe.v1.payment_methods.update(card, {"card": {"exp_month": 1, "exp_year": 2041}})
    assert in_2040(world).ok("PATCH", "/subscription", plan="plus")["state"] == "applied"


def test_default_card_without_an_event_is_looked_up(world: World, api: ApiClient) -> None:
    world.fault("webhook_dropped", event="payment_method.*", times=100)
    choose(world, attach(world))

    def default_is_known() -> bool:
        world.work()
        return world.rows(Organization)[0].default_payment_method_id is not None

    eventually(default_is_known)
    assert shown(world) is None
    api.ok("PATCH", "/subscription", plan="plus")
    assert (shown(world) or {})["last4"] == "4242"


@pytest.mark.usefixtures("api")
def test_concurrent_default_changes_end_with_stripes_default(world: World) -> None:
    cards = [attach(world, template) for template in ("pm_card_visa", "pm_card_mastercard", "pm_card_amex")] * 3
    token = world.token()

    def put(card: str) -> int:
        client = ApiClient(world.client.application.test_client(), token)
        return client("PUT", "/payment-methods/default", payment_method=card).status_code

    with ThreadPoolExecutor(4) as threads:
        assert set(threads.map(put, cards)) == {200}
    world.settle()
    world.work()  # runs the refreshes of states that could not be ordered
    settings = world.stripe.v1.customers.retrieve(customer_of(world)).invoice_settings
    assert settings is not None
    assert world.rows(Organization)[0].default_payment_method_id == settings.default_payment_method


def test_a_deleted_default_card_pays_for_no_upgrade(world: World) -> None:
    api = world.api()
    api.ok("POST", "/subscription", plan="free")
    card = api.add_card(world.stripe)
    assert api("DELETE", f"/payment-methods/{card}").status_code == 204
    assert api.problem("PATCH", "/subscription", plan="plus") == (402, "payment_method_required")


def test_card_of_an_upgrade_in_flight_cannot_be_deleted(world: World) -> None:
    api = world.api()
    api.ok("POST", "/subscription", plan="free")
    card = api.add_card(world.stripe)
    write_intent(world.gateway, CALLER, ChangeCommand(plan="plus"), None)
    assert api.problem("DELETE", f"/payment-methods/{card}") == (409, "change_in_progress")
