"""A system that is notified, and a gateway that notifies it."""

from dataclasses import replace
from pathlib import Path

import pytest

from gateway.config import Config
from tests.support.catalogs import write_catalog
from tests.support.notified import NotifiedSystem, write_receivers


@pytest.fixture
def catalog_file(tmp_path: Path) -> Path:
    return write_catalog(tmp_path / "catalog.toml", trial_days=30)


@pytest.fixture
def config(config: Config, konnect: NotifiedSystem, tmp_path: Path) -> Config:
    return replace(config, receivers=write_receivers(tmp_path / "receivers.toml", konnect=konnect.url))
