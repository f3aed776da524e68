"""The gateway sells a catalogue of five plans, with limits and features."""

from pathlib import Path

import pytest

from tests.support.catalogs import FIVE_PLANS


@pytest.fixture
def catalog_file() -> Path:
    return FIVE_PLANS
