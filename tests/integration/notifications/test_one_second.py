"""Several changes within one second are told in order, and the last one last."""

import time
from typing import Any

import pytest

from tests.support.api import ApiClient
from tests.support.clock import ManualClock
from tests.support.notified import NotifiedSystem, notify
from tests.support.world import World


@pytest.fixture
def stripe_time() -> ManualClock:
    """Return a clock that stands still, so that everything happens in one second."""
    return ManualClock(time.time())


@pytest.mark.parametrize("together", [True, False])
def test_last_change_of_a_second_is_told_last(
    world: World, api: ApiClient, konnect: NotifiedSystem, stripe_time: ManualClock, together: bool
) -> None:
    api.ok("PATCH", "/subscription", plan="plus")
    world.settle()
    stripe_time.now += 1
    for quantity in (2, 3, 4):
        found = world.stripe.v1.subscriptions.retrieve(world.plan_row().subscription_id or "")
        items: Any = [{"id": found["items"].data[0].id, "quantity": quantity}]
        world.stripe.v1.subscriptions.update(found.id, {"items": items})
        if not together:
            world.settle()
    world.settle()
    notify(world)
    told = [each["data"]["after"]["quantity"] for each in konnect.messages() if each["type"] == "plan.changed"]
    assert (world.plan_row().quantity, told[-1], told) == (4, 4, sorted(told))
