"""Read ``catalog.toml``. All mistakes are reported together, before anything is sent to Stripe."""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from marshmallow import ValidationError

from gateway.catalog import checks
from gateway.catalog.checks import Mistake, Table, choose_lookup_key
from gateway.catalog.plans import CatalogPlan, CatalogPrice, Exposure, Meter, Metered, Tier, Trial
from gateway.catalog.schema import CatalogTable
from gateway.config import ConfigError


class CatalogMistakes(ConfigError):
    """The catalogue has mistakes. Each of ``lines`` names a plan, a key and what is expected."""

    def __init__(self, lines: Sequence[str]) -> None:
        self.lines = lines
        super().__init__("\n".join(("the catalogue has mistakes:", *lines)))


def read_catalog(path: Path) -> dict[str, Any]:
    """Return the arguments of the Catalog at ``path``. Raise ConfigError and CatalogMistakes."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"the catalogue cannot be read: {error}") from error
    return parse_catalog(data)


def parse_catalog(data: Table) -> dict[str, Any]:
    """Return the arguments of the Catalog that ``data`` describes. Raise CatalogMistakes."""
    mistakes: list[Mistake] = []
    try:
        tables = CatalogTable().load(data)
    except ValidationError as error:
        mistakes = list(flatten(error.messages))
        tables = error.valid_data if isinstance(error.valid_data, dict) else {}
    found = [each for each in checks.find_mistakes(tables) if not is_consequence(each, mistakes)]
    if mistakes or found:
        raise CatalogMistakes([describe(data, each) for each in (*mistakes, *found)])
    return {
        "plans": tuple(
            build_plan(plan, tables) for plan in sorted(tables["plans"], key=lambda plan: int(plan["rank"]))
        ),
        "meters": tuple(Meter(**meter) for meter in tables.get("meters", [])),
        **{name: tables[name] for name in ("on_dispute", "automatic_tax", "spend_alerts") if name in tables},
    }


def flatten(messages: Any, path: checks.Path = ()) -> Iterator[Mistake]:
    """Yield the mistakes of marshmallow's nested messages."""
    if isinstance(messages, Mapping):
        for name, inner in messages.items():
            yield from flatten(inner, path if name == "_schema" else (*path, name))
    else:
        yield from ((path, str(message)) for message in messages)


def is_consequence(mistake: Mistake, reported: Sequence[Mistake]) -> bool:
    """Return whether another mistake made the value unreadable that this one misses."""
    path, _ = mistake
    return len(path) > 1 and any(each[: len(path)] == path for each, _ in reported)


def describe(data: Table, mistake: Mistake) -> str:
    """Return the line for a mistake, such as ``plan team, prices[0].currency: expected …``."""
    path, text = mistake
    owner = ""
    if len(path) > 1 and path[0] in ("plans", "meters") and isinstance(path[1], int):
        table = data[path[0]][path[1]]
        key = table.get("key") if isinstance(table, dict) else None
        owner = f"{str(path[0]).removesuffix('s')} {quote(key) if isinstance(key, str) else f'number {path[1] + 1}'}"
        path = path[2:]
    keys = "".join(f"[{part}]" if isinstance(part, int) else f".{quote(str(part))}" for part in path).removeprefix(".")
    return f"{', '.join(part for part in (owner, keys) if part) or 'catalog.toml'}: {text}"


def quote(name: str) -> str:
    """Return a name as TOML writes it, which is always one line."""
    return name if re.fullmatch(r"[\w-]+", name) else json.dumps(name)


def build_plan(table: Table, catalog: Table) -> CatalogPlan:
    """Build a plan from its table."""
    nested = {"prices", "metered", "trial", "exposure"}
    prices = [build_price(table["key"], price, catalog) for price in table.get("prices", [])]
    exposure = {name: Exposure(**each) for name, each in table.get("exposure", {}).items()}
    if "" in exposure:
        exposure = {price.currency: exposure[""] for price in prices}
    return CatalogPlan(
        **{name: value for name, value in table.items() if name not in nested},
        prices=tuple(prices),
        metered=tuple(build_metered(table["key"], metered, catalog) for metered in table.get("metered", [])),
        trial=Trial(**table["trial"]) if "trial" in table else None,
        exposure=exposure,
    )


def build_metered(plan: str, table: Table, catalog: Table) -> Metered:
    """Build the usage that a plan bills."""
    included = table.get("included", 0)
    prices = [include(price, included) | {"meter": table["meter"]} for price in table["prices"]]
    return Metered(
        meter=table["meter"],
        included=included,
        prices=tuple(build_price(plan, price, catalog) for price in prices),
    )


def include(price: Table, included: int) -> Table:
    """Return the price with a first tier for the included amount, which is how Stripe does not charge for it."""
    if not included:
        return price
    amounts = {name: price[name] for name in ("unit_amount", "unit_amount_decimal") if name in price}
    rest = {name: value for name, value in price.items() if name not in amounts}
    tiers = [{"up_to": included, "unit_amount": 0}, *price.get("tiers", [amounts])]
    return rest | {"tiers": tiers, "tiers_mode": "graduated"}


def build_price(plan: str, table: Table, catalog: Table) -> CatalogPrice:
    """Build a price. The catalogue's ``tax_behavior`` holds for a price that has none."""
    inherited = {name: catalog[name] for name in ("tax_behavior",) if name in catalog}
    own = {name: value for name, value in table.items() if name != "tiers"}
    terms = {"interval": "month"} | inherited | own
    terms["lookup_key"] = choose_lookup_key(plan, table, table.get("meter"))
    return CatalogPrice(**terms, tiers=tuple(Tier(**tier) for tier in table.get("tiers", [])))
