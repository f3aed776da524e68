from collections.abc import Iterator

import pytest

from tests.stateful.convergence.stepped_gateway import SteppedGateway


@pytest.fixture
def stage(database_url: str) -> Iterator[SteppedGateway]:
    running = SteppedGateway(database_url)
    yield running
    running.close()
