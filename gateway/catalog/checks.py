"""Compare the values of ``catalog.toml`` with each other. The shape of each value is right, but some may be missing.

Each function yields mistakes. A mistake is a path through the file and a sentence.
"""

from collections.abc import Hashable, Iterator, Sequence
from typing import Any

Table = dict[str, Any]
Path = tuple[str | int, ...]
Mistake = tuple[Path, str]
RESERVED = "unmapped"  # the plan of a subscription whose product the catalogue does not know


def find_mistakes(catalog: Table) -> Iterator[Mistake]:
    """Yield the mistakes of the whole catalogue."""
    plans, meters = catalog.get("plans", []), catalog.get("meters", [])
    yield from check_doubles(("plans",), plans, "key")
    yield from check_doubles(("plans",), plans, "rank")
    yield from check_doubles(("meters",), meters, "key")
    yield from check_doubles(("meters",), meters, "event_name")
    for index, plan in enumerate(plans):
        yield from check_plan(("plans", index), plan, [meter.get("key") for meter in meters])
    yield from check_lookup_keys(plans)
    trials = [index for index, plan in enumerate(plans) if "trial" in plan]
    for index in trials[1:]:
        yield ("plans", index, "trial"), "expected a trial of one plan only"
    yield from check_floor(plans)
    yield from check_names(plans)
    sold = {price.get("currency") for plan in plans for price in plan.get("prices", [])}
    for currency in catalog.get("spend_alerts", {}):
        if currency not in sold:
            yield ("spend_alerts", currency), "no plan has a price in this currency"


def check_names(plans: Sequence[Table]) -> Iterator[Mistake]:
    """Yield a mistake for each feature that has the name of a limit. Both are flags, and a flag has one type."""
    limits = {name for plan in plans for name in plan.get("limits", {})}
    for index, plan in enumerate(plans):
        for name in limits.intersection(plan.get("features", {})):
            yield ("plans", index, "features", name), "is the name of a limit too, expected another name"


def check_doubles(where: Path, tables: Sequence[Table], *names: str) -> Iterator[Mistake]:
    """Yield a mistake for each table whose values an earlier table has too."""
    seen: set[Hashable] = set()
    for index, table in enumerate(tables):
        values = tuple(table.get(name) for name in names)
        if values in seen and None not in values:
            words = " and ".join(f"{name} {value}" for name, value in zip(names, values, strict=True))
            yield (*where, index, names[-1]), f"a second one with {words}, expected each once"
        seen.add(values)


def check_plan(where: Path, plan: Table, meters: Sequence[str | None]) -> Iterator[Mistake]:
    """Yield the mistakes of one plan."""
    if plan.get("key") == RESERVED:
        yield (*where, "key"), f"{RESERVED} is reserved, expected another key"
    if not plan.get("prices") and not plan.get("sales") and not plan.get("archived"):
        yield (*where, "prices"), "is missing, expected at least one price, or sales = true"
    yield from check_doubles((*where, "prices"), plan.get("prices", []), "interval", "currency")
    for name in ("sales", "archived"):
        if plan.get(name) and "trial" in plan:
            yield (*where, "trial"), f"expected no trial in a plan with {name} = true"
    for index, price in enumerate(plan.get("prices", [])):
        yield from check_amounts((*where, "prices", index), price)
    yield from check_metered(where, plan, meters)
    yield from check_exposure((*where, "exposure"), plan)


def check_amounts(where: Path, price: Table, included: int = 0) -> Iterator[Mistake]:
    """Yield a mistake unless the price has either an amount per unit or tiers."""
    given = [name for name in ("unit_amount", "unit_amount_decimal", "tiers") if name in price]
    if len(given) != 1:
        found = " and ".join(given) or "none of them"
        yield where, f"expected one of unit_amount, unit_amount_decimal and tiers, not {found}"
    if ("tiers" in price) != ("tiers_mode" in price):
        yield (*where, "tiers_mode"), "expected graduated or volume together with tiers, and only with tiers"
    if "tiers" not in price:
        return
    if included and price.get("tiers_mode") == "volume":
        yield (*where, "tiers_mode"), "expected graduated, because an included amount is a first tier"
    yield from check_tiers((*where, "tiers"), price["tiers"], included)


def check_tiers(where: Path, tiers: Sequence[Table], included: int) -> Iterator[Mistake]:
    """Yield a mistake unless the tiers follow each other without a gap and the last one has no end."""
    last = included
    for index, tier in enumerate(tiers):
        is_last = index == len(tiers) - 1
        if is_last and "up_to" in tier:
            yield (*where, index, "up_to"), "expected no up_to in the last tier, or more units would have no price"
        if not is_last and "up_to" not in tier:
            yield (*where, index, "up_to"), "is missing, expected it in each tier but the last"
        if tier.get("up_to", last + 1) <= last:
            yield (*where, index, "up_to"), f"expected more than {last}, not {tier['up_to']}"
        amounts = [name for name in ("unit_amount", "unit_amount_decimal", "flat_amount") if name in tier]
        if not amounts or {"unit_amount", "unit_amount_decimal"} <= set(amounts):
            yield (*where, index), "expected unit_amount or unit_amount_decimal, flat_amount, or both"
        last = max(last, tier.get("up_to", last))
    if not tiers:
        yield where, "expected at least one tier"


def check_metered(where: Path, plan: Table, meters: Sequence[str | None]) -> Iterator[Mistake]:
    """Yield a mistake for each meter that is not declared, and each currency without a metered price."""
    yield from check_doubles((*where, "metered"), plan.get("metered", []), "meter")
    wanted = {price.get("currency"): None for price in plan.get("prices", [])}
    for index, metered in enumerate(plan.get("metered", [])):
        here = (*where, "metered", index)
        if "meter" in metered and metered["meter"] not in meters:
            known = ", ".join(filter(None, meters)) or "a meter of [[meters]], which is empty"
            yield (*here, "meter"), f"unknown meter {metered['meter']}, expected {known}"
        yield from check_doubles((*here, "prices"), metered.get("prices", []), "currency")
        for each, price in enumerate(metered.get("prices", [])):
            yield from check_amounts((*here, "prices", each), price, metered.get("included", 0))
            if wanted and price.get("currency") not in (None, *wanted):
                text = f"the plan has no price in {price['currency']}, expected {', '.join(filter(None, wanted))}"
                yield (*here, "prices", each, "currency"), text
        for currency in wanted:
            if "prices" in metered and currency not in (None, *(each.get("currency") for each in metered["prices"])):
                yield (*here, "prices"), f"expected a price in {currency}, as the plan has one"


def check_exposure(where: Path, plan: Table) -> Iterator[Mistake]:
    """Yield a mistake unless the exposure has one table for each currency of the plan."""
    currencies = sorted({price["currency"] for price in plan.get("prices", []) if "currency" in price})
    given = plan.get("exposure", {})
    if not given or (list(given) == [""] and len(currencies) == 1):
        return
    if sorted(given) != currencies:
        yield where, f"expected a table for each currency of the plan: {', '.join(currencies) or 'none'}"


def check_lookup_keys(plans: Sequence[Table]) -> Iterator[Mistake]:
    """Yield a mistake for each price that has the lookup key of an earlier one. The doubles of a plan are known."""
    owners: dict[str, Path] = {}
    for index, plan in enumerate(plans):
        for path, price, meter in list_prices(plan):
            if "key" not in plan or not ("lookup_key" in price or {"currency", "interval"} <= price.keys()):
                continue
            key, where = choose_lookup_key(plan["key"], price, meter), ("plans", index, *path)
            if key in owners and ("lookup_key" in price or owners[key][1] != index):
                yield (*where, "lookup_key"), f"{key} is the lookup key of another price too"
            owners.setdefault(key, where)


def list_prices(plan: Table) -> Iterator[tuple[Path, Table, str | None]]:
    """Yield each price of a plan with its path, and with its meter if it is a metered one."""
    for index, price in enumerate(plan.get("prices", [])):
        yield ("prices", index), price, None
    for number, metered in enumerate(plan.get("metered", [])):
        for index, price in enumerate(metered.get("prices", [])):
            yield ("metered", number, "prices", index), {"interval": "month"} | price, metered.get("meter")


def choose_lookup_key(plan: str, price: Table, meter: str | None = None) -> str:
    """Return the lookup key that the price names, or the one that follows from its terms."""
    parts = ("konnect", plan, *filter(None, [meter]), price.get("currency", ""), price.get("interval", "month"))
    return str(price.get("lookup_key") or "_".join(parts))


def check_floor(plans: Sequence[Table]) -> Iterator[Mistake]:
    """Yield a mistake unless exactly one plan costs nothing, has the lowest rank, and has every currency sold."""
    floors = [index for index, plan in enumerate(plans) if is_free(plan)]
    for index, plan in enumerate(plans):
        if index not in floors and not plan.get("metered"):
            for number, price in enumerate(plan.get("prices", [])):
                if is_zero(price):
                    path = ("plans", index, "prices", number)
                    yield path, "expected more than 0, because only the floor plan is free"
    if len(floors) > 1:
        keys = " and ".join(str(plans[index].get("key")) for index in floors)
        yield ("plans",), f"expected one plan with a price of 0, the floor plan, not {keys}"
    if not floors and not any(map(may_be_free, plans)):
        yield ("plans",), "expected one plan with a price of 0, the floor plan, not none"
    for index in floors[:1]:
        yield from check_floor_plan(("plans", index), plans[index], plans)


def check_floor_plan(where: Path, floor: Table, plans: Sequence[Table]) -> Iterator[Mistake]:
    """Yield the mistakes of the floor plan, and of each currency that it lacks."""
    for name in ("sales", "archived"):
        if floor.get(name):
            yield (*where, name), "expected false for the floor plan"
    for name in ("trial", "unit", "exposure"):
        if name in floor:
            yield (*where, name), "unknown key for the floor plan, which costs nothing"
    lowest = floor.get("rank", 0)
    if any(plan.get("rank", lowest) < lowest for plan in plans):
        yield (*where, "rank"), "expected the lowest rank for the floor plan"
    has = [price.get("currency") for price in floor["prices"]]
    for index, plan in enumerate(plans):
        for number, price in enumerate(plan.get("prices", [])):
            if price.get("currency", has[0]) not in has:
                text = f"{floor.get('key')} has no price in {price['currency']}, expected one of 0"
                yield ("plans", index, "prices", number, "currency"), text


def is_free(plan: Table) -> bool:
    """Return whether all prices of a plan are 0."""
    return bool(plan.get("prices")) and not plan.get("metered") and all(map(is_zero, plan["prices"]))


def may_be_free(plan: Table) -> bool:
    """Return whether all readable prices of a plan are 0, and some are not readable."""
    prices = plan.get("prices", [])
    return any(not list_amounts(price) for price in prices) and not any(any(list_amounts(price)) for price in prices)


def is_zero(price: Table) -> bool:
    """Return whether a price costs nothing for any quantity."""
    return bool(list_amounts(price)) and not any(list_amounts(price))


def list_amounts(price: Table) -> list[Any]:
    """Return all amounts of a price and its tiers."""
    names = ("unit_amount", "unit_amount_decimal", "flat_amount")
    parts = [price, *price.get("tiers", [])]
    return [part[name] for part in parts for name in names if name in part]
