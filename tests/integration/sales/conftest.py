"""A stand-in for sales' own system, and a gateway that delivers to it."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.support.notified import SECRET, NotifiedSystem, another_world, notified_system
from tests.support.world import World


@pytest.fixture
def receiver() -> Iterator[NotifiedSystem]:
    with notified_system() as found:
        yield found


@pytest.fixture
def sales(world: World, receiver: NotifiedSystem) -> Iterator[World]:
    """Return the world with a gateway that delivers to the receiver."""
    config = replace(world.gateway.config, sales_webhook_url=receiver.url, sales_webhook_secret=SECRET)
    with another_world(world, config) as found:
        yield found
