"""The environment of a command that runs in this process."""

import pytest

from tests.support.commands import use_settings
from tests.support.world import World


@pytest.fixture
def environment(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    use_settings(monkeypatch, world.gateway.config)
