"""Only POST enrols an organization, and a change keeps what it does not name."""

from tests.support.world import World


def test_only_post_enrols(world: World) -> None:
    api = world.api()
    assert api.problem("DELETE", "/subscription") == (409, "not_enrolled")
    assert api.problem("PATCH", "/subscription", quantity=1) == (409, "not_enrolled")
    assert world.stripe.v1.customers.list().data == []


def test_omitted_quantity_stays(world: World) -> None:
    api = world.api()
    api.add_card(world.stripe)
    api.ok("POST", "/subscription", plan="plus", quantity=5)
    assert api.problem("PATCH", "/subscription", plan="plus") == (409, "no_change")
    assert api.ok("GET", "/subscription")["quantity"] == 5
