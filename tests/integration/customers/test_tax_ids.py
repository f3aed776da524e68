"""Exchanging tax ids never exceeds Stripe's limit of five. If Stripe refuses one, the old ones come back."""

import pytest

from gateway.services.customers.tax_ids import Exchange, has_tax_id
from tests.support.api import ApiClient, problem_of
from tests.support.json_types import Json
from tests.support.payment_methods import customer_of
from tests.support.world import World

NONSENSE = {"type": "eu_vat", "value": "nonsense"}


def vat(*digits: int) -> list[Json]:
    return [{"type": "eu_vat", "value": f"DE12345678{digit}"} for digit in digits]


def put(api: ApiClient, tax_ids: list[Json], email: str = "a@ada.example") -> Json:
    return api.ok("PUT", "/billing-details", name="Ada", email=email, address=None, tax_ids=tax_ids)


def refused(api: ApiClient, tax_ids: list[Json], email: str = "a@ada.example") -> list[str]:
    """Put the tax ids, check that they are refused and return the refused fields."""
    answer = api("PUT", "/billing-details", name="Ada", email=email, address=None, tax_ids=tax_ids)
    assert problem_of(answer) == (422, "billing_details_refused")
    return list(answer.get_json()["errors"])


def values(api: ApiClient) -> list[str]:
    return sorted(each["value"] for each in api.ok("GET", "/billing-details")["tax_ids"])


def numbers(*digits: int) -> list[str]:
    return sorted(each["value"] for each in vat(*digits))


def exchange_steps(world: World) -> str:
    """Return one sign for each tax id event, in order: + for created, - for deleted."""
    signs = {"customer.tax_id.created": "+", "customer.tax_id.deleted": "-"}
    events = world.stripe.v1.events.list({"type": "customer.tax_id.*", "limit": 100}).data
    return "".join(signs[each.type] for each in reversed(events) if each.type in signs)


@pytest.mark.parametrize(
    ("before", "after", "steps"),
    [
        ((0, 1, 2, 3, 4), (0, 1, 2, 3, 5), "-+"),
        ((0, 1, 2, 3, 4), (5, 6, 7, 8, 9), "-+-+-+-+-+"),
        ((0, 1, 2, 3), (0, 5, 6), "+-+--"),
        ((0, 1, 2), (5, 6), "++---"),
        ((0, 1, 2, 3, 4), (0,), "----"),
    ],
)
def test_only_tax_ids_that_must_make_room_are_removed_first(
    world: World, before: tuple[int, ...], after: tuple[int, ...], steps: str
) -> None:
    api = world.api()
    put(api, vat(*before))
    assert sorted(each["value"] for each in put(api, vat(*after))["tax_ids"]) == numbers(*after)
    assert values(api) == numbers(*after)
    assert exchange_steps(world) == "+" * len(before) + steps


@pytest.mark.parametrize("new", [[NONSENSE], [*vat(5), NONSENSE], [*vat(5, 6), NONSENSE]])
def test_tax_ids_removed_for_a_refused_one_are_restored(world: World, new: list[Json]) -> None:
    api = world.api()
    put(api, vat(0, 1, 2, 3, 4))
    assert refused(api, [*vat(0, 1), *new]) == ["tax_ids"]
    assert values(api) == numbers(0, 1, 2, 3, 4)


def test_removed_tax_ids_are_restored_if_the_email_is_refused(world: World) -> None:
    api = world.api()
    put(api, vat(0, 1, 2, 3, 4))
    assert refused(api, vat(0, 1, 5, 6, 7), email='"a@b"@example.test') == ["email"]
    assert values(api) == numbers(0, 1, 2, 3, 4)


def test_refusal_is_reported_even_if_a_restore_fails(world: World, caplog: pytest.LogCaptureFixture) -> None:
    api = world.api()
    put(api, vat(0, 1, 2, 3, 4))
    world.fault(
        "error_before", method="POST", path="/v1/customers/*/tax_ids", skip=3
    )  # two are created and one is refused
    assert refused(api, [*vat(0, 1, 5, 6), NONSENSE]) == ["tax_ids"]
    assert len(values(api)) == 4
    assert "tax_ids_not_as_they_were" in caplog.text
    assert "DE12345678" not in caplog.text
    put(api, vat(0, 1, 2, 3, 4))
    assert values(api) == numbers(0, 1, 2, 3, 4)


def test_duplicate_tax_id_is_removed_first(world: World) -> None:
    api = world.api()
    put(api, vat(0, 1, 2, 3))
    world.stripe.v1.customers.tax_ids.create(customer_of(world), {"type": "eu_vat", "value": "DE123456782"})
    world.fault("error_before", method="POST", path="/v1/customers/*/tax_ids")  # the exchange stops here
    answer = api("PUT", "/billing-details", name="Ada", email="a@ada.example", address=None, tax_ids=vat(2, 5))
    assert problem_of(answer) == (503, "stripe_unavailable")
    assert values(api) == numbers(0, 1, 2, 3)


def test_tax_id_added_by_a_concurrent_request_is_kept(world: World) -> None:
    api = world.api()
    put(api, [])
    customer = world.stripe.v1.customers.retrieve(customer_of(world), {"expand": ["tax_ids"]})
    keys = {("eu_vat", "DE123456780")}
    exchange = Exchange.begin(world.gateway, customer, keys)
    put(api, vat(0, 1, 2, 3, 4))
    exchange.add(keys)
    assert has_tax_id(world.gateway, customer.id, ("eu_vat", "DE123456780"))
    exchange.undo()
    assert values(api) == numbers(0, 1, 2, 3, 4)
