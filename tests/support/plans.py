"""Puts an organization on a plan."""

from tests.support.world import World


def live_a_little(world: World) -> None:
    """Make several plan changes in quick succession, most of them within one second."""
    api = world.api()
    api.ok("POST", "/subscription", plan="free")
    api.add_card(world.stripe)
    api.ok("PATCH", "/subscription", plan="plus", quantity=2)
    api.ok("PATCH", "/subscription", quantity=5)
    api.ok("DELETE", "/subscription")
    api.ok("PATCH", "/subscription", plan="plus")


def on_plus(world: World) -> None:
    api = world.api()
    api.ok("POST", "/subscription", plan="free")
    api.add_card(world.stripe)
    api.ok("PATCH", "/subscription", plan="plus", quantity=2)
