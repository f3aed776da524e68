"""What a plan of the catalogue gives, as other services read it."""

from pathlib import Path

import pytest

from gateway.catalog import Catalog, CatalogMistakes
from gateway.services.entitlements.flags import UNLIMITED, evaluate_flag
from gateway.services.entitlements.lookup import CurrentPlan, show_entitlements
from gateway.services.entitlements.over_limits import find_over_limits
from tests.support.catalogs import FIVE_PLANS
from tests.support.json_types import Json

FIVE = Catalog.load(FIVE_PLANS)
KONNECT = Catalog.load()


def on(plan: str, requested: str | None = None, quantity: int = 1) -> CurrentPlan:
    return CurrentPlan("org_1", plan, requested or plan, "active", "good", quantity, None, 1)


def entitlements(catalog: Catalog, current: CurrentPlan) -> Json:
    return show_entitlements(catalog, current)


def test_a_plan_shows_every_limit_and_feature_of_the_catalogue() -> None:
    found = entitlements(FIVE, on("team"))
    assert (found["limits"], found["features"]) == ({"seats": None}, {"sso": False})
    assert entitlements(KONNECT, on("free"))["limits"] == {"services": 3, "portal_services": 10, "analytics_hours": 24}
    assert entitlements(KONNECT, on("enterprise"))["features"]["on_call_support"] is True


def test_a_changed_catalogue_changes_the_entitlements_of_subscribers(tmp_path: Path) -> None:
    changed = tmp_path / "catalog.toml"
    changed.write_text(FIVE_PLANS.read_text().replace("limits = { seats = 50 }", "limits = { seats = 70 }"))
    assert entitlements(Catalog.load(changed), on("starter"))["limits"] == {"seats": 70}


@pytest.mark.parametrize(("plan", "exceeded"), [("free", ["services"]), ("plus", [])])
def test_a_level_above_the_limit_is_reported(plan: str, exceeded: list[str]) -> None:
    levels = {"services": 4, "portal_services": 10, "unknown": 1}
    assert [each.limit for each in find_over_limits(KONNECT, KONNECT.get(plan), levels)] == exceeded


def test_the_quantity_counts_the_unit_of_the_subscribed_plan() -> None:
    found = entitlements(KONNECT, on("free", "plus", 5))["over_limits"]
    assert found == [{"limit": "services", "allowed": 3, "present": 5}]
    assert entitlements(KONNECT, on("free", "free", 5))["over_limits"] == []


def test_a_reported_level_comes_before_the_quantity() -> None:
    reported = on("free", "plus", 5)._replace(reported_levels={"services": 7, "portal_services": 11})
    found = entitlements(KONNECT, reported)["over_limits"]
    assert [(each["limit"], each["present"]) for each in found] == [("services", 7), ("portal_services", 11)]


def test_an_unlimited_limit_is_a_flag_above_all_others() -> None:
    flag = evaluate_flag(KONNECT, on("plus"), "services")
    assert (flag["value"], flag["metadata"]["unlimited"], flag["variant"]) == (UNLIMITED, True, "plus")
    assert UNLIMITED > 1_000_000_000  # the catalogue's largest limit


def test_a_limit_and_a_feature_cannot_share_a_name(tmp_path: Path) -> None:
    file = tmp_path / "catalog.toml"
    file.write_text(FIVE_PLANS.read_text().replace('features = ["sso"]', 'features = ["sso", "seats"]'))
    with pytest.raises(CatalogMistakes) as raised:
        Catalog.load(file)
    assert list(raised.value.lines) == [
        "plan business, features.seats: is the name of a limit too, expected another name"
    ]
