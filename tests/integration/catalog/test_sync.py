"""``gateway catalog`` makes Stripe match the file, and never changes what a subscriber pays."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import update
from stripe import Price

from gateway.catalog import Catalog
from gateway.cli import cli
from gateway.config import ConfigError
from gateway.db.models import PlanChange
from gateway.services.operations.catalog_diff import compare_catalog
from gateway.services.operations.catalog_sync import count_on_old_prices, sync_catalog
from tests.support.accounts import make_customer, subscribe
from tests.support.catalogs import FIVE_PLANS
from tests.support.commands import build_environment
from tests.support.other_terms import at_stripe
from tests.support.world import World


def edit(world: World, path: Path, *pairs: tuple[str, str]) -> None:
    """Replace texts of the catalogue's file, and let the gateway read it."""
    text = FIVE_PLANS.read_text(encoding="utf-8")
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new, 1)
    path.write_text(text, encoding="utf-8")
    world.gateway = replace(world.gateway, catalog=Catalog.load(path))


def differences(world: World) -> list[str]:
    return [each.text for each in compare_catalog(world.gateway.stripe, world.gateway.catalog).differences]


def sold_at(world: World, lookup_key: str) -> Price:
    """Return the price that Stripe sells at under the lookup key."""
    [price] = world.stripe.v1.prices.list({"lookup_keys": [lookup_key], "active": True}).data
    return price


def run(world: World, *arguments: str, catalog: Path = FIVE_PLANS) -> Result:
    environment = build_environment(replace(world.gateway.config, catalog=catalog))
    return CliRunner().invoke(cli, ["catalog", *arguments], env=environment)


def test_a_second_sync_finds_nothing(world: World) -> None:
    assert differences(world) == []
    assert run(world, "diff").output == "Stripe matches the catalogue.\n"


def test_a_new_amount_makes_a_new_price_and_keeps_subscribers(world: World, tmp_path: Path) -> None:
    api = world.api()
    api.ok("POST", "/subscription", plan="basic")
    api.add_card(world.stripe)
    api.ok("PATCH", "/subscription", plan="starter")
    [old] = [item.price for item in at_stripe(world)["items"].data if item.price.unit_amount == 1000]
    path = tmp_path / "raised.toml"
    edit(world, path, ("unit_amount = 1000 }", "unit_amount = 1200 }"))
    text = f"starter: create the price konnect_starter_usd_month, 1200 USD per month, and archive {old.id}"
    assert run(world, "diff", catalog=path).output == f"{text}\n"
    world.settle()
    assert run(world, "sync", catalog=path).output.splitlines() == [
        text,
        "Stripe matches the catalogue.",
        "1 subscriptions stay on old prices. `gateway catalog migrate-subscribers` moves them.",
    ]
    world.settle()
    assert api.ok("GET", "/subscription")["price"]["unit_amount"] == 1000
    sold = sold_at(world, "konnect_starter_usd_month")
    assert (sold.unit_amount, sold.active, world.stripe.v1.prices.retrieve(old.id).active) == (1200, True, False)
    assert (differences(world), count_on_old_prices(world.gateway)) == ([], 1)


CALLS = [f"konnect_starter_calls_{currency}_month" for currency in ("usd", "eur", "jpy")]


@pytest.mark.parametrize(
    ("pair", "created"),
    [
        (("{ up_to = 12, unit_amount = 2000 }", "{ up_to = 10, unit_amount = 2000 }"), ["konnect_team_usd_month"]),
        (("flat_amount = 100", "flat_amount = 101"), ["konnect_team_usd_year"]),
        (
            ("included = 1000", "included = 2000"),
            CALLS,
        ),
        (('unit_amount_decimal = "0.5"', 'unit_amount_decimal = "0.25"'), ["konnect_starter_calls_usd_month"]),
        (("unit_amount = 3000", 'unit_amount = 3000\ntax_behavior = "inclusive"'), ["konnect_team_jpy_month"]),
    ],
)
def test_each_term_of_a_price_counts(world: World, tmp_path: Path, pair: tuple[str, str], created: list[str]) -> None:
    edit(world, tmp_path / "changed.toml", pair)
    assert [text.split(",")[0].split()[-1] for text in differences(world)] == created
    list(sync_catalog(world.gateway))
    assert differences(world) == []


def test_a_renamed_plan_and_a_renamed_meter(world: World, tmp_path: Path) -> None:
    edit(world, tmp_path / "renamed.toml", ('name = "Calls"', 'name = "Requests"'), ('name = "Team"', 'name = "Crew"'))
    list(sync_catalog(world.gateway))
    assert differences(world) == []
    [meter] = world.stripe.v1.billing.meters.list().data
    assert meter.display_name == "Requests"
    assert world.stripe.v1.products.retrieve("konnect_team").name == "Crew"
    assert world.stripe.v1.products.retrieve("konnect_team_calls").name == "Requests"


def test_a_meter_on_other_terms_stops_the_sync(world: World, tmp_path: Path) -> None:
    edit(world, tmp_path / "counted.toml", ('aggregation = "sum"', 'aggregation = "count"'), ("Starter", "Beginner"))
    with pytest.raises(ConfigError, match="Stripe aggregates test_calls by sum, which cannot change, not by count"):
        list(sync_catalog(world.gateway))
    assert world.stripe.v1.products.retrieve("konnect_starter").name == "Starter"


def test_a_plan_that_becomes_archived_is_sold_no_more(world: World, tmp_path: Path) -> None:
    subscribe(world, make_customer(world, "org_1"), "team")
    edit(world, tmp_path / "archived.toml", ('key = "team"', 'key = "team"\narchived = true'))
    found = differences(world)
    assert found[0] == "team: archive the price konnect_team_usd_month, because the plan is no longer sold"
    list(sync_catalog(world.gateway))
    world.settle()
    assert (differences(world), world.plan_row().plan) == ([], "team")
    assert (
        world.stripe.v1.prices.list(
            {"product": "konnect_team", "active": True, "lookup_keys": ["konnect_team_usd_month"]}
        ).data
        == []
    )


def test_check_lists_all_mistakes_without_settings(tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(
        FIVE_PLANS.read_text().replace("unit_amount = 1000 }", "unit_amount = 10.0 }").replace("rank = 3", "rank = 2")
    )
    result = CliRunner().invoke(cli, ["catalog", "check", str(path)])
    assert str(result.exception).splitlines() == [
        "the catalogue has mistakes:",
        "plan starter, prices[0].unit_amount: expected a whole number of minor units from 0 to 99999999, not 10.0",
        "plan team, rank: a second one with rank 2, expected each once",
    ]
    assert "5 plans" in CliRunner().invoke(cli, ["catalog", "check", str(FIVE_PLANS)]).output


def test_show_prints_the_catalogue_and_its_policy() -> None:
    shown = json.loads(CliRunner().invoke(cli, ["catalog", "show", str(FIVE_PLANS)]).output)
    assert shown["plans"][1]["metered"][0]["prices"][0]["tiers"][1]["unit_amount_decimal"] == "0.5"
    lines = CliRunner().invoke(cli, ["catalog", "show", "--policy", str(FIVE_PLANS)]).output.splitlines()
    assert len(lines) == 1 + 5 * 5
    assert [line.split() for line in lines[:5]] == [
        ["from", "to", "action", "who", "needs"],
        ["basic", "basic", "enroll", "self_service"],
        ["basic", "starter", "upgrade", "self_service", "card", "paid_up"],
        ["basic", "team", "upgrade", "self_service", "card", "paid_up"],
        ["basic", "legacy", "unavailable", "self_service"],
    ]


@pytest.fixture
def on_old_prices(world: World, tmp_path: Path) -> Path:
    """Put an organization on the old prices of the catalogue that is returned, with some usage."""
    api = world.api()
    api.ok("POST", "/subscription", plan="basic")
    api.add_card(world.stripe)
    api.ok("PATCH", "/subscription", plan="starter", quantity=3)
    [customer] = world.stripe.v1.customers.list().data
    world.stripe.v1.billing.meter_events.create(
        {"event_name": "test_calls", "payload": {"stripe_customer_id": customer.id, "value": "1200"}}
    )
    path = tmp_path / "raised.toml"
    edit(world, path, ("unit_amount = 1000 }", "unit_amount = 1200 }"), ('"0.5"', '"0.6"'))
    list(sync_catalog(world.gateway))
    world.settle()
    return path


def test_subscribers_move_deliberately_and_once(world: World, on_old_prices: Path) -> None:
    world.work()
    subscription = at_stripe(world)
    line = f"org_1  {subscription.id}  next invoice 6100 → 6700 USD"
    quoted = run(world, "migrate-subscribers", "--dry-run", catalog=on_old_prices)
    assert quoted.output == f"{line}\nNothing was changed.\n"
    assert at_stripe(world)["items"] == subscription["items"]
    moved = run(world, "migrate-subscribers", catalog=on_old_prices)
    assert (moved.exit_code, moved.output) == (0, f"{line}\n0 subscriptions were not moved.\n")
    prices = {item.price.lookup_key: getattr(item, "quantity", None) for item in at_stripe(world)["items"].data}
    assert prices == {"konnect_starter_usd_month": 3, "konnect_starter_calls_usd_month": None}
    assert run(world, "migrate-subscribers", catalog=on_old_prices).output == "0 subscriptions were not moved.\n"
    world.settle()
    upcoming = world.stripe.v1.invoices.create_preview({"subscription": subscription.id})
    assert upcoming.amount_due == 6700  # with the usage until then, at the old price
    assert world.api().ok("GET", "/subscription")["price"]["unit_amount"] == 1200


def test_a_subscription_with_a_change_in_flight_is_not_moved(world: World, on_old_prices: Path) -> None:
    with world.gateway.database.transaction() as session:
        in_flight = update(PlanChange).where(PlanChange.to_plan == "starter")
        session.execute(in_flight.values(state="processing", ended_at=None))
    result = run(world, "migrate-subscribers", catalog=on_old_prices)
    assert "NOT moved: Another change has not ended yet." in result.output
    assert result.exit_code == 1


def test_a_price_is_known_as_old_if_the_sync_dies_before_archiving_it(world: World, tmp_path: Path) -> None:
    subscribe(world, make_customer(world, "org_1"), price=sold_at(world, "konnect_starter_usd_month").id)
    edit(world, tmp_path / "raised.toml", ("unit_amount = 1000 }", "unit_amount = 1200 }"))
    list(sync_catalog(world.gateway))
    [old] = world.stripe.v1.prices.list({"product": "konnect_starter", "active": False}).data
    world.stripe.v1.prices.update(old.id, {"active": True})  # as before the sync's last call
    world.settle()
    assert (differences(world), count_on_old_prices(world.gateway)) == ([], 1)


def test_a_quote_is_bound_to_the_metered_prices_too(world: World, tmp_path: Path) -> None:
    world.api().ok("POST", "/subscription", plan="basic")
    world.api().add_card(world.stripe)
    quote = world.api().ok("POST", "/subscription/preview", plan="starter")
    edit(world, tmp_path / "raised.toml", ('"0.5"', '"0.6"'))
    list(sync_catalog(world.gateway))
    world.settle()  # a refresh settles the third state that a price had within one second
    assert world.api().problem("PATCH", "/subscription", quote=quote["token"]) == (409, "quote_stale")
