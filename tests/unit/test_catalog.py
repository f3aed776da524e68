"""The catalogue of plans that this deployment sells."""

import tomllib
from collections.abc import Iterator, Sequence
from copy import deepcopy
from decimal import Decimal
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.catalog import Catalog, CatalogMistakes, CatalogPrice, Exposure, Metered, Tier, TiersMode
from gateway.catalog.read import parse_catalog
from gateway.config import ConfigError
from gateway.errors import InvalidRequest
from tests.support.catalogs import FIVE_PLANS

CATALOG = Catalog.load()
FLOOR = '[[plans]]\nkey = "basic"\nname = "Basic"\ndescription = ""\nrank = 0\n'
FREE = '{ interval = "month", currency = "usd", unit_amount = 0 }'
PAID = '{ interval = "month", currency = "usd", unit_amount = 500 }'
TEAM = '[[plans]]\nkey = "team"\nname = "Team"\ndescription = ""\nrank = 1\n'
CALLS = '[[meters]]\nkey = "calls"\nname = "Calls"\nevent_name = "api"\naggregation = "sum"\n'


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "catalog.toml"
    path.write_text(text, encoding="utf-8")
    return path


def two_plans(team: str, floor: str = f"prices = [{FREE}]", top: str = "") -> str:
    """Return a catalogue of a floor plan and the plan team with the given keys."""
    return f"{top}\n{FLOOR}{floor}\n{TEAM}{team}\n"


def test_the_plans_are_in_the_order_of_their_rank(tmp_path: Path) -> None:
    catalog = Catalog.load(write(tmp_path, f"{TEAM}prices = [{PAID}]\n{FLOOR}prices = [{FREE}]"))
    assert catalog.keys == ("basic", "team")
    assert (catalog.floor.key, catalog.trial_plan) == ("basic", None)


def test_the_shipped_plans() -> None:
    assert CATALOG.keys == ("free", "plus", "enterprise")
    assert CATALOG.floor == CATALOG.get("free")
    assert CATALOG.get("enterprise").sales
    plus = CATALOG.get("plus")
    assert plus.find_price("usd", "month") == CatalogPrice(
        lookup_key="konnect_plus_usd_month", currency="usd", unit_amount=25000, interval="month"
    )
    assert plus.exposure["usd"] == Exposure(before_payment=250_000, after_payment=2_500_000)


def test_a_plan_with_every_key(tmp_path: Path) -> None:
    team = """
unit = "services"
max_quantity = 7
charge = "now"
trial = { days = 14 }
limits = { services = 5, seats = "unlimited" }
features = ["sso", "audit"]
exposure = { usd = { before_payment = 1, after_payment = 2 }, eur = { before_payment = 3, after_payment = 4 } }
[[plans.prices]]
interval = "year"
currency = "eur"
lookup_key = "mine"
tax_behavior = "inclusive"
tiers_mode = "volume"
tiers = [{ up_to = 10, unit_amount = 400, flat_amount = 5 }, { unit_amount_decimal = "300.5" }]
[[plans.prices]]
interval = "month"
currency = "usd"
unit_amount = 500
[[plans.metered]]
meter = "calls"
included = 1000
[[plans.metered.prices]]
currency = "usd"
unit_amount_decimal = "0.02"
[[plans.metered.prices]]
currency = "eur"
tiers_mode = "graduated"
tiers = [{ up_to = 5000, unit_amount = 2 }, { flat_amount = 9 }]
"""
    floor = (
        f'prices = [{FREE}, {{ interval = "month", currency = "eur", unit_amount = 0 }}]\nfeatures = {{ sso = false }}'
    )
    top = 'automatic_tax = true\ntax_behavior = "exclusive"'
    catalog = Catalog.load(write(tmp_path, two_plans(team, floor, top) + CALLS))
    plan = catalog.get("team")
    assert (plan.unit, plan.max_quantity, plan.charge, plan.features) == (
        "services",
        7,
        "now",
        {"sso": True, "audit": True},
    )
    assert plan.limits == {"services": 5, "seats": None}
    assert plan.exposure["eur"] == Exposure(before_payment=3, after_payment=4)
    assert plan.find_price("eur", "year") == CatalogPrice(
        lookup_key="mine",
        currency="eur",
        interval="year",
        tiers_mode="volume",
        tax_behavior="inclusive",
        tiers=(
            Tier(up_to=10, unit_amount=400, flat_amount=5),
            Tier(unit_amount_decimal=Decimal("300.5")),
        ),
    )
    assert plan.metered == (
        Metered(
            meter="calls",
            included=1000,
            prices=(
                CatalogPrice(
                    lookup_key="konnect_team_calls_usd_month",
                    currency="usd",
                    interval="month",
                    tiers=(Tier(up_to=1000, unit_amount=0), Tier(unit_amount_decimal=Decimal("0.02"))),
                    tiers_mode="graduated",
                    tax_behavior="exclusive",
                    meter="calls",
                ),
                CatalogPrice(
                    lookup_key="konnect_team_calls_eur_month",
                    currency="eur",
                    interval="month",
                    tiers=(Tier(up_to=1000, unit_amount=0), Tier(up_to=5000, unit_amount=2), Tier(flat_amount=9)),
                    tiers_mode="graduated",
                    tax_behavior="exclusive",
                    meter="calls",
                ),
            ),
        ),
    )
    assert (catalog.automatic_tax, catalog.trial_plan, catalog.floor.features) == (True, plan, {"sso": False})
    assert plan.currencies == ("eur", "usd")


METERED = f'prices = [{PAID}]\nmetered = [{{ meter = "calls", prices = [%s] }}]'
MISTAKES = {
    "float": (
        f"prices = [{PAID.replace('500', '5.0')}]",
        "prices[0].unit_amount: expected a whole number of minor units",
    ),
    "boolean": (f"prices = [{PAID}]\nmax_quantity = true", "max_quantity: expected a whole number from 1"),
    "unknown key": (
        f"prices = [{PAID}]\nprize = 1",
        "prize: unknown key, expected one of key, name, description, rank",
    ),
    "unknown key of a price": (
        f"prices = [{PAID[:-2]}, x = 1 }}]",
        "prices[0].x: unknown key, expected one of currency",
    ),
    "no price": ("", "prices: is missing, expected at least one price, or sales = true"),
    "not a list": ("prices = 3", "prices: expected a list of tables"),
    "not a table": ("prices = [3]", "prices[0]: expected a table"),
    "currency": (f"prices = [{PAID.replace('usd', 'USD')}]", "prices[0].currency: expected a currency of Stripe"),
    "interval": (
        f"prices = [{PAID.replace('month', 'week')}]",
        "prices[0].interval: expected one of month, year, not 'week'",
    ),
    "lacking currency": (f"prices = [{PAID.replace('usd', 'eur')}]", "prices[0].currency: basic has no price in eur"),
    "double price": (
        f"prices = [{PAID}, {PAID}]",
        "prices[1].currency: a second one with interval month and currency usd",
    ),
    "second floor": (
        f"prices = [{FREE}]",
        "plans: expected one plan with a price of 0, the floor plan, not basic and team",
    ),
    "partly free": (
        f"prices = [{PAID}, {FREE.replace('month', 'year')}]",
        "prices[1]: expected more than 0, because only the floor plan is free",
    ),
    "no amount": ('prices = [{ interval = "month", currency = "usd" }]', "prices[0]: expected one of unit_amount"),
    "amount and tiers": (
        f'prices = [{PAID[:-2]}, tiers_mode = "volume", tiers = [{{ unit_amount = 1 }}] }}]',
        "prices[0]: expected one of unit_amount, unit_amount_decimal and tiers, not unit_amount and tiers",
    ),
    "unknown meter": (METERED % '{ currency = "usd", unit_amount = 1 }', "metered[0].meter: unknown meter calls"),
    "limit": (f'prices = [{PAID}]\nlimits = {{ seats = "many" }}', "limits.seats: expected a whole number or"),
    "feature": (f"prices = [{PAID}]\nfeatures = [1]", "features: expected each feature once, as text"),
    "trial of sales": ("sales = true\ntrial = { days = 3 }", "trial: expected no trial in a plan with sales = true"),
    "trial days": (
        f"prices = [{PAID}]\ntrial = {{ days = 0 }}",
        "trial.days: expected a whole number from 1 to 730, not 0",
    ),
    "charge": (f'prices = [{PAID}]\ncharge = "later"', "charge: expected one of on_billing_date, now, not 'later'"),
    "exposure": (
        f"prices = [{PAID}]\nexposure = {{ eur = {{ before_payment = 1, after_payment = 1 }} }}",
        "exposure: expected a table for each currency of the plan: usd",
    ),
    "decimal": (
        'prices = [{ interval = "month", currency = "usd", unit_amount_decimal = 0.5 }]',
        "prices[0].unit_amount_decimal: expected minor units as text",
    ),
}


@pytest.mark.parametrize(("team", "line"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_line_with_plan_key_and_expectation(tmp_path: Path, team: str, line: str) -> None:
    with pytest.raises(CatalogMistakes) as caught:
        Catalog.load(write(tmp_path, two_plans(team)))
    [found] = caught.value.lines
    assert found.removeprefix("plan team, ").startswith(line)


def test_each_currency_of_a_plan_needs_a_metered_price(tmp_path: Path) -> None:
    team = METERED % '{ currency = "eur", unit_amount = 1 }'
    with pytest.raises(CatalogMistakes) as caught:
        Catalog.load(write(tmp_path, two_plans(team) + CALLS))
    assert caught.value.lines == [
        "plan team, metered[0].prices[0].currency: the plan has no price in eur, expected usd",
        "plan team, metered[0].prices: expected a price in usd, as the plan has one",
    ]


TIERED = 'prices = [{{ interval = "month", currency = "usd", tiers_mode = "volume", tiers = [{}] }}]'


@pytest.mark.parametrize(
    ("tiers", "line"),
    [
        ("{ up_to = 5, unit_amount = 1 }", "tiers[0].up_to: expected no up_to in the last tier"),
        ("{ unit_amount = 1 }, { unit_amount = 2 }", "tiers[0].up_to: is missing"),
        (
            "{ up_to = 5, unit_amount = 1 }, { up_to = 5, unit_amount = 2 }, { flat_amount = 1 }",
            "tiers[1].up_to: expected more than 5",
        ),
        ("{ }", "tiers[0]: expected unit_amount or unit_amount_decimal, flat_amount, or both"),
        ("", "tiers: expected at least one tier"),
    ],
)
def test_a_gap_between_tiers_is_a_mistake(tmp_path: Path, tiers: str, line: str) -> None:
    with pytest.raises(CatalogMistakes) as caught:
        Catalog.load(write(tmp_path, two_plans(TIERED.format(tiers))))
    [found] = caught.value.lines
    assert found.startswith(f"plan team, prices[0].{line}")


@pytest.mark.parametrize(
    ("floor", "line"),
    [
        ("", "plan basic, prices: is missing"),
        (f"prices = [{PAID}]", "plans: expected one plan with a price of 0, the floor plan, not none"),
        (f"prices = [{FREE}]\ntrial = {{ days = 1 }}", "plan basic, trial: unknown key for the floor plan"),
        (f"prices = [{FREE}]\nsales = true", "plan basic, sales: expected false for the floor plan"),
    ],
)
def test_a_catalogue_needs_a_floor_plan(tmp_path: Path, floor: str, line: str) -> None:
    with pytest.raises(CatalogMistakes) as caught:
        Catalog.load(write(tmp_path, two_plans(f"prices = [{PAID}]", floor)))
    assert any(found.startswith(line) for found in caught.value.lines)


def test_all_mistakes_are_reported_together(tmp_path: Path) -> None:
    floor = FLOOR.replace("basic", "unmapped").replace("rank = 0", "rank = 1")
    meter = CALLS.replace("sum", "avg")
    text = (
        f'on_dispute = "ask"\n{floor}prices = [{FREE}]\n{TEAM}prices = [{PAID}]\nsales = 1\n{meter}[[plans]]\nkey = 4\n'
    )
    with pytest.raises(CatalogMistakes) as caught:
        Catalog.load(write(tmp_path, text))
    assert caught.value.lines == [
        "plan team, sales: expected true or false, not 1",
        "plan number 3, key: expected a key of lower-case letters, digits and _, not 4",
        "plan number 3, name: is missing, expected a line of at most 100 characters",
        "plan number 3, description: is missing, expected a line of at most 500 characters",
        "plan number 3, rank: is missing, expected a whole number from 0 to 1000000000",
        "meter calls, aggregation: expected one of sum, count, last, not 'avg'",
        "on_dispute: expected keep or suspend, not 'ask'",
        "plan team, rank: a second one with rank 1, expected each once",
        "plan unmapped, key: unmapped is reserved, expected another key",
        "plan number 3, prices: is missing, expected at least one price, or sales = true",
    ]


@pytest.mark.parametrize(
    "text", ["", "plans = 3", "plans = [3]", "[plans]", "meters = [1]\nplans = []", "plans = [[]]"]
)
def test_a_file_of_another_shape_is_no_traceback(tmp_path: Path, text: str) -> None:
    with pytest.raises(CatalogMistakes):
        Catalog.load(write(tmp_path, text))


def test_a_file_that_is_no_toml_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the catalogue cannot be read"):
        Catalog.load(write(tmp_path, "plans = ["))


@pytest.mark.parametrize("key", ["", "Plus", "gold", "unmapped"])
def test_an_unknown_plan_is_not_found_and_refused(key: str) -> None:
    assert CATALOG.find(key) is None
    with pytest.raises(InvalidRequest):
        CATALOG.get(key)


def test_every_plan_has_a_name_even_unmapped() -> None:
    assert CATALOG.name_of("plus") == "Plus"
    assert CATALOG.name_of("unmapped") == "Unmapped"


def list_places(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of each value in tables and lists."""
    yield path
    pairs = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for name, value in pairs:
        yield from list_places(value, (*path, name))


FIVE = tomllib.loads(FIVE_PLANS.read_text(encoding="utf-8"))
SCALARS = st.booleans() | st.integers(-2, 2**40) | st.floats() | st.text(max_size=3) | st.dates()
JUNK = SCALARS | st.lists(SCALARS, max_size=2) | st.dictionaries(st.text(max_size=3), SCALARS, max_size=2)


@given(st.sampled_from([path for path in list_places(FIVE) if path]), JUNK)
def test_no_value_causes_a_traceback(path: tuple[Any, ...], junk: Any) -> None:
    data = deepcopy(FIVE)
    parent = reduce(getitem, path[:-1], data)
    parent[path[-1]] = junk
    lines: Sequence[str] = ["catalog.toml: "]
    try:
        parse_catalog(data)
    except CatalogMistakes as mistakes:
        lines = mistakes.lines
    assert lines
    assert all(": " in line and "\n" not in line for line in lines)


def tiered(mode: TiersMode) -> CatalogPrice:
    tiers = (Tier(up_to=10, unit_amount=400), Tier(up_to=20, unit_amount=300, flat_amount=50), Tier(unit_amount=100))
    return CatalogPrice(lookup_key="key", currency="usd", interval="month", tiers=tiers, tiers_mode=mode)


@pytest.mark.parametrize(
    ("mode", "quantity", "amount"),
    [
        ("graduated", 10, 4000),
        ("graduated", 11, 4350),
        ("graduated", 21, 7150),
        ("volume", 10, 4000),
        ("volume", 11, 3350),
        ("volume", 21, 2100),
    ],
)
def test_tiers_add_up(mode: TiersMode, quantity: int, amount: int) -> None:
    assert tiered(mode).compute_amount(quantity) == amount


@given(st.sampled_from(["graduated", "volume"]), st.integers(0, 9000), st.integers(1, 40))
def test_no_quantity_up_to_the_possible_one_costs_more(mode: TiersMode, amount: int, most: int) -> None:
    price = tiered(mode)
    possible = price.find_quantity(amount, most)
    assert all(price.compute_amount(each) <= amount for each in range(1, possible + 1))
    assert possible == most or price.compute_amount(possible + 1) > amount
