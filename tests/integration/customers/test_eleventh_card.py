"""At most ten payment methods are on file. An eleventh one that a browser adds is detached."""

import pytest

from tests.support.api import ApiClient
from tests.support.payment_methods import attach, customer_of
from tests.support.world import World


@pytest.fixture
def api(cardless: ApiClient) -> ApiClient:
    """Return a client for an organization on Free."""
    return cardless


@pytest.fixture
def eleventh(world: World, api: ApiClient) -> str:
    """Return the setup intent that was made before ten cards were on file."""
    secrets: list[str] = [api.ok("POST", "/billing-details/setup-intent")["client_secret"] for _ in range(2)]
    first, last = (secret.split("_secret_")[0] for secret in secrets)
    confirm(world, first)
    for _ in range(9):
        attach(world)
    world.settle()
    return last


def confirm(world: World, setup_intent: str) -> str:
    """Add a card as the browser does, and return its id."""
    confirmed = world.stripe.v1.setup_intents.confirm(setup_intent, {"payment_method": "pm_card_visa"})
    return str(confirmed.payment_method)


def on_file(api: ApiClient) -> list[str]:
    return [each["id"] for each in api.ok("GET", "/payment-methods")["data"]]


def test_eleventh_card_is_detached(world: World, api: ApiClient, eleventh: str) -> None:
    before = on_file(api)
    confirm(world, eleventh)
    world.settle()
    assert (on_file(api), len(before)) == (before, 10)


@pytest.mark.usefixtures("eleventh")
def test_more_than_ten_cards_cannot_be_used(world: World, api: ApiClient) -> None:
    card = attach(world)
    world.settle()
    choose_it = ("PUT", "/payment-methods/default")
    assert api.problem(*choose_it, payment_method=card) == (409, "too_many_payment_methods")
    assert api("DELETE", f"/payment-methods/{on_file(api)[-1]}").status_code == 204
    assert api(*choose_it, payment_method=card).status_code == 200


@pytest.mark.usefixtures("eleventh")
def test_eleventh_card_of_another_program_is_listed_and_charged(world: World, api: ApiClient) -> None:
    card = attach(world)
    world.stripe.v1.customers.update(customer_of(world), {"invoice_settings": {"default_payment_method": card}})
    world.settle()
    listed = api.ok("GET", "/payment-methods")["data"]
    assert (len(listed), [each["id"] for each in listed if each["is_default"]]) == (11, [card])
    assert api.ok("PATCH", "/subscription", plan="plus")["state"] == "applied"
    assert api.ok("GET", "/subscription")["payment_method"]["id"] == card
    others = [each for each in on_file(api) if each != card]
    for number in range(2):
        assert api.problem("POST", "/billing-details/setup-intent") == (409, "too_many_payment_methods"), number
        assert api("DELETE", f"/payment-methods/{others[number]}").status_code == 204
    assert api("POST", "/billing-details/setup-intent").status_code == 201


def test_eleventh_card_that_is_the_default_stays(world: World, api: ApiClient, eleventh: str) -> None:
    card = confirm(world, eleventh)
    world.stripe.v1.customers.update(customer_of(world), {"invoice_settings": {"default_payment_method": card}})
    world.settle()
    assert (card in on_file(api), len(on_file(api))) == (True, 11)


def test_eleventh_card_of_a_subscription_stays(world: World, api: ApiClient, eleventh: str) -> None:
    card = confirm(world, eleventh)
    [subscription] = world.stripe.v1.subscriptions.list().data
    world.stripe.v1.subscriptions.update(subscription.id, {"default_payment_method": card})
    world.settle()
    assert (card in on_file(api), len(on_file(api))) == (True, 11)


@pytest.mark.usefixtures("eleventh")
def test_eleventh_card_of_another_setup_intent_stays(world: World, api: ApiClient) -> None:
    card = confirm(world, world.stripe.v1.setup_intents.create({"customer": customer_of(world)}).id)
    world.settle()
    assert (card in on_file(api), len(on_file(api))) == (True, 11)


def test_with_ten_cards_on_file_there_is_no_setup_intent(world: World) -> None:
    api = world.api()
    api.ok("POST", "/subscription", plan="free")
    cards = [attach(world) for _ in range(10)]
    world.settle()
    assert api.problem("POST", "/billing-details/setup-intent") == (409, "too_many_payment_methods")
    assert world.api("org_2")("POST", "/billing-details/setup-intent").status_code == 201
    assert api("DELETE", f"/payment-methods/{cards[0]}").status_code == 204
    assert api("POST", "/billing-details/setup-intent").status_code == 201
