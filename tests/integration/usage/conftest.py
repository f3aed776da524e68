"""A catalogue with a meter of each aggregation, and an organization on Plus."""

from pathlib import Path

import pytest

from tests.support.api import ApiClient
from tests.support.catalogs import PLAIN

METERS = """
[spend_alerts]
usd = 70000

[[meters]]
key = "api_calls"
name = "API calls"
event_name = "konnect_api_calls"
aggregation = "sum"

[[meters]]
key = "portal_services"
name = "Dev Portal services"
event_name = "konnect_portal_services"
aggregation = "last"

[[meters]]
key = "logins"
name = "Logins"
event_name = "konnect_logins"
aggregation = "count"

"""
METERED = """
[[plans.metered]]
meter = "api_calls"
prices = [{ currency = "usd", unit_amount = 2 }]

[[plans.metered]]
meter = "portal_services"
prices = [{ currency = "usd", unit_amount = 500 }]

[[plans.metered]]
meter = "logins"
prices = [{ currency = "usd", unit_amount = 10 }]

[[plans]]
key = "enterprise"
"""


@pytest.fixture
def catalog_file(tmp_path: Path) -> Path:
    """Return the file of the catalogue, whose Plus has three metered prices."""
    path = tmp_path / "catalog.toml"
    plain = PLAIN.read_text(encoding="utf-8")
    plain = plain.replace("max_quantity = 100", 'unit = "services"\nmax_quantity = 100')
    path.write_text(METERS + plain.replace('[[plans]]\nkey = "enterprise"\n', METERED), encoding="utf-8")
    return path


@pytest.fixture
def plus(api: ApiClient) -> ApiClient:
    """Return a client for an organization that is on Plus."""
    api.ok("PATCH", "/subscription", plan="plus")
    return api
