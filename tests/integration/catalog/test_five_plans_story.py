"""An organization's whole life on a catalogue of five plans, in three currencies. Quotes equal charges to the cent."""

from pathlib import Path
from typing import Any

import pytest

from gateway.db.models import Invoice
from tests.support.catalogs import FIVE_PLANS
from tests.support.clock import DAY, StripeTime
from tests.support.quoted_changes import make_quoted
from tests.support.world import World

# Team has tiers in dollars only, and yen have no minor unit. Only dollars and euros are sold by the year.
STORIES: dict[str, list[dict[str, Any]]] = {
    "usd": [
        {"plan": "team", "quantity": 14},
        {"interval": "year"},
        {"quantity": 20},
        {"quantity": 5},
        {"plan": "starter", "quantity": 3},
        {"interval": "month"},
    ],
    "eur": [{"interval": "year", "quantity": 4}, {"quantity": 7}, {"quantity": 2}, {"interval": "month"}],
    "jpy": [{"plan": "team", "quantity": 7}, {"quantity": 9}, {"plan": "starter", "quantity": 2}],
}


@pytest.fixture
def catalog_file(tmp_path: Path) -> Path:
    file = tmp_path / "catalog.toml"
    text = FIVE_PLANS.read_text(encoding="utf-8")
    file.write_text(text.replace('key = "starter"', 'key = "starter"\ntrial = { days = 14 }'), encoding="utf-8")
    return file


@pytest.mark.parametrize("currency", STORIES)
def test_a_whole_life_is_charged_as_quoted(world: World, stripe_time: StripeTime, currency: str) -> None:
    api = world.api()
    api.ok("POST", "/subscription", currency=currency)
    api.add_card(world.stripe)
    assert api.ok("GET", "/subscription")["trial"]["converts"]
    quote = api.ok("POST", "/subscription/preview", plan="starter")
    stripe_time.ahead = 15 * DAY
    world.settle()
    assert max(each.amount_paid for each in world.rows(Invoice)) == quote["amount_due_on_billing_date"] > 0
    for change in STORIES[currency]:
        make_quoted(world, **change)
        stripe_time.ahead += DAY
    make_quoted(world, plan="basic")
    details = api.ok("GET", "/subscription")
    assert (details["plan"], details["currency"], details["trial"]) == ("basic", currency, None)
