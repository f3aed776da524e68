"""Puts an organization on a plan, and chooses when Plus is charged."""

from dataclasses import replace

from gateway.catalog import Charge
from gateway.endpoints.request_context import EXTENSION
from tests.support.saved_state import set_up_once
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
    """Put the organization on two units of Plus."""
    api = world.api()
    api.ok("POST", "/subscription", plan="free")
    api.add_card(world.stripe)
    api.ok("PATCH", "/subscription", plan="plus", quantity=2)


def settled_on_plus(world: World) -> None:
    """Put the organization of an empty world on two units of Plus, and process all events."""

    def set_up() -> None:
        on_plus(world)
        world.settle()

    set_up_once(world, "on Plus", set_up)


def charge_plus(world: World, when: Charge = "now") -> None:
    """Let the world's gateway charge a change to Plus now, or on the billing date."""
    catalog = world.gateway.catalog
    plans = (replace(plan, charge=when) if plan.key == "plus" else plan for plan in catalog.plans)
    world.gateway = replace(world.gateway, catalog=replace(catalog, plans=tuple(plans)))
    world.client.application.extensions[EXTENSION].gateway = world.gateway
