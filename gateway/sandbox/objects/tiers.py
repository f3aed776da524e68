"""The amounts of a price and of its tiers (https://docs.stripe.com/products-prices/pricing-models#tiered-pricing)."""

import re
from itertools import pairwise

from gateway.sandbox.errors import invalid
from gateway.sandbox.json_types import Json
from gateway.sandbox.work import Work

_DECIMAL = re.compile(r"(\d+)(?:\.(\d+))?")
_PLACES = 12


def amount(given: Json, name: str, param: str = "") -> Json:
    """Return ``{"unit_amount": 1, "unit_amount_decimal": "1"}``, from either of the two.

    A fraction of a cent has only the decimal. Its whole amount is None.
    """
    decimal = f"{name}_decimal"
    if name in given and decimal in given:
        raise invalid(f"You may only specify one of these parameters: {name}, {decimal}.")
    if decimal not in given:
        whole = given.get(name)
        return {name: whole, decimal: None if whole is None else str(whole)}
    text = _decimal(given[decimal], f"{param}[{decimal}]" if param else decimal)
    return {name: None if "." in text else int(text), decimal: text}


def _decimal(text: str, param: str) -> str:
    """Return the decimal without leading or trailing zeros."""
    matched = _DECIMAL.fullmatch(text)
    if matched is None:
        raise invalid(f"Invalid non-negative decimal: {text}", param=param)
    whole, fraction = str(int(matched[1])), (matched[2] or "").rstrip("0")
    if len(fraction) > _PLACES:
        raise invalid(f"Invalid decimal: {text}; must contain at maximum twelve decimal places.", param=param)
    return f"{whole}.{fraction}" if fraction else whole


def build(given: list[Json]) -> list[Json]:
    """Return the tiers in the given order. The last one has no upper bound."""
    bounds = [tier["up_to"] for tier in given]
    if not bounds or bounds[-1] != "inf" or "inf" in bounds[:-1]:
        raise invalid("The last tier, and only the last, must have `up_to` set to `inf`.", param="tiers")
    ends = [0, *bounds[:-1]]
    if any(upper <= lower for lower, upper in pairwise(ends)):
        raise invalid("Each tier's `up_to` must be greater than the one before.", param="tiers")
    return [_tier(tier, f"tiers[{index}]") for index, tier in enumerate(given)]


def _tier(given: Json, param: str) -> Json:
    tier = amount(given, "flat_amount", param) | amount(given, "unit_amount", param)
    if tier["flat_amount_decimal"] is None and tier["unit_amount_decimal"] is None:
        raise invalid("Each tier needs a `unit_amount` or a `flat_amount`.", param=param)
    return tier | {"up_to": None if given["up_to"] == "inf" else given["up_to"]}


def keep(work: Work, price: Json, tiers: list[Json]) -> None:
    """Store the tiers apart from the price, which shows them only when expanded."""
    work.note("tiers", price["id"], {"tiers": tiers})


def of(work: Work, price: Json) -> list[Json]:
    """Return the tiers of a price or of its legacy plan. A price per unit has none."""
    tiers: list[Json] = (work.recall("tiers", price["id"]) or {"tiers": []})["tiers"]
    return tiers
