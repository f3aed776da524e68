"""An organization in a trial, which the module's catalogue must offer."""

import pytest

from tests.support.api import ApiClient
from tests.support.saved_state import set_up_once
from tests.support.world import World


@pytest.fixture
def trial(world: World) -> ApiClient:
    """Return a client for an organization that has just begun its trial."""
    api = world.api()

    def set_up() -> None:
        api.ok("POST", "/subscription")
        world.settle()

    set_up_once(world, "in a trial", set_up)
    return api
