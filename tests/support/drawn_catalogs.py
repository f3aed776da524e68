"""Catalogues drawn by Hypothesis: of one to six plans, or with the plans of the plain one on other terms."""

from dataclasses import replace
from typing import Any, get_args

from hypothesis import strategies as st

from gateway.catalog import Catalog, CatalogPrice, Charge, Meter, Metered, Tier, Trial
from gateway.catalog.read import parse_catalog
from tests.support.catalogs import PLAIN_CATALOG
from tests.support.json_types import Json

CURRENCIES = ("usd", "eur", "jpy")
INTERVALS = ("month", "year")


@st.composite
def catalogs(draw: st.DrawFn) -> Catalog:
    """Draw a catalogue. Its keys say nothing about the plans, and its plans are in any order."""
    ranks = draw(st.lists(st.integers(0, 7), min_size=1, max_size=6, unique=True))
    currencies = draw(st.lists(st.sampled_from(CURRENCIES), min_size=1, unique=True))
    meters = [{"key": "calls", "name": "Calls", "event_name": "calls", "aggregation": "sum"}]
    plans = [draw_plan(draw, rank, currencies, is_floor=rank == min(ranks)) for rank in ranks]
    return Catalog(**parse_catalog({"plans": plans, "meters": meters}))


def draw_plan(draw: st.DrawFn, rank: int, currencies: list[str], *, is_floor: bool) -> Json:
    """Draw the table of one plan."""
    plan: dict[str, Any] = {"key": f"plan_{rank}", "name": f"Plan {rank}", "description": "", "rank": rank}
    if is_floor:
        return plan | {"prices": [price(currency, "month", 0) for currency in currencies]}
    plan |= {"sales": draw(st.booleans()), "archived": draw(st.booleans()), "max_quantity": draw(st.integers(1, 9))}
    pairs = [(currency, interval) for currency in currencies for interval in INTERVALS]
    sold = draw(st.lists(st.sampled_from(pairs), min_size=1, unique=True))
    plan["prices"] = [price(*pair, draw(st.integers(1, 5000))) for pair in sold]
    if draw(st.booleans()):
        rates = [{"currency": each, "unit_amount": 1} for each in dict.fromkeys(currency for currency, _ in sold)]
        plan["metered"] = [{"meter": "calls", "included": draw(st.integers(0, 9)), "prices": rates}]
    return plan


def price(currency: str, interval: str, amount: int) -> Json:
    """Return the table of a price."""
    return {"currency": currency, "interval": interval, "unit_amount": amount}


@st.composite
def catalogs_of_plus(draw: st.DrawFn) -> Catalog:
    """Draw a catalogue with the plans of the plain one. Plus may have tiers, a yearly price, usage and a trial."""
    plus = PLAIN_CATALOG.get("plus")
    monthly = plus.prices[0]
    sold = [draw_price(draw, monthly)]
    if draw(st.booleans()):
        sold.append(draw_price(draw, replace(monthly, lookup_key="konnect_plus_usd_year", interval="year")))
    rate = replace(monthly, lookup_key="konnect_plus_calls_usd_month", meter="calls", unit_amount=2)
    changed = replace(
        plus,
        charge=draw(st.sampled_from(get_args(Charge))),
        prices=tuple(sold),
        metered=(Metered(meter="calls", prices=(rate,)),) if draw(st.booleans()) else (),
        trial=Trial(days=draw(st.sampled_from([1, 30]))) if draw(st.booleans()) else None,
        exposure={},
    )
    calls = Meter(key="calls", name="Calls", event_name="calls_of_plus", aggregation="sum")
    return Catalog(tuple(changed if plan is plus else plan for plan in PLAIN_CATALOG.plans), meters=(calls,))


def draw_price(draw: st.DrawFn, price: CatalogPrice) -> CatalogPrice:
    """Draw the amounts of a price, per unit or with tiers."""
    amounts = st.integers(1, 50_000)
    if draw(st.booleans()):
        return replace(price, unit_amount=draw(amounts))
    tiers = (Tier(up_to=2, unit_amount=draw(amounts)), Tier(unit_amount=draw(amounts)))
    return replace(price, unit_amount=None, tiers=tiers, tiers_mode=draw(st.sampled_from(["graduated", "volume"])))
