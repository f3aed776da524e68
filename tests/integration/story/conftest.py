"""One clock for the gateway and Stripe, and the catalogue of the story."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.config import Config
from gateway.sandbox import Sandbox
from tests.support.catalogs import STORY
from tests.support.clock import ManualClock
from tests.support.notified import NotifiedSystem, write_receivers

# The first periods begin on the last days of a month, and the story spans 29 February.
BEGINS = datetime(2032, 1, 28, 12, tzinfo=UTC)


@pytest.fixture
def stripe_time() -> ManualClock:
    return ManualClock(BEGINS.timestamp())


@pytest.fixture
def sandbox(stripe_time: ManualClock) -> Iterator[Sandbox]:
    with Sandbox(clock=stripe_time, signing_clock=stripe_time, retry_delays=(0.05, 0.2, 0.5)) as running:
        yield running


@pytest.fixture
def gateway_clock(stripe_time: ManualClock) -> Callable[[], datetime]:
    return lambda: datetime.fromtimestamp(stripe_time(), UTC)


@pytest.fixture
def catalog_file() -> Path:
    return STORY


@pytest.fixture
def config(config: Config, konnect: NotifiedSystem, tmp_path: Path) -> Config:
    return replace(config, receivers=write_receivers(tmp_path / "receivers.toml", konnect=konnect.url))
