"""The terms of a price, in the form of the catalogue and in Stripe's."""

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from gateway.catalog import CatalogPrice, Tier
from gateway.db.models import Price

if TYPE_CHECKING:
    from stripe.params import PriceCreateParams, PriceCreateParamsTier

INTERVALS = {"month": "per month", "year": "per year"}


def build_params(price: CatalogPrice, product_id: str, meter_id: str | None) -> "PriceCreateParams":
    """Return the parameters that create the price. It takes its lookup key over from the price that has it.

    https://docs.stripe.com/api/prices/create
    """
    params: PriceCreateParams = {
        "product": product_id,
        "currency": price.currency,
        "recurring": {"interval": price.interval},
        "lookup_key": price.lookup_key,
        "transfer_lookup_key": True,
    }
    if meter_id is not None:
        params["recurring"] |= {"usage_type": "metered", "meter": meter_id}
    if price.tax_behavior is not None:
        params["tax_behavior"] = price.tax_behavior
    if price.tiers_mode is not None:
        tiers = [build_tier(tier) for tier in price.tiers]
        params |= {"billing_scheme": "tiered", "tiers_mode": price.tiers_mode, "tiers": tiers}
    elif price.unit_amount is not None:
        params["unit_amount"] = price.unit_amount
    elif price.unit_amount_decimal is not None:
        params["unit_amount_decimal"] = price.unit_amount_decimal
    return params


def build_tier(tier: Tier) -> "PriceCreateParamsTier":
    """Return the parameters of one tier."""
    params: PriceCreateParamsTier = {"up_to": tier.up_to if tier.up_to is not None else "inf"}
    if tier.unit_amount is not None:
        params["unit_amount"] = tier.unit_amount
    if tier.unit_amount_decimal is not None:
        params["unit_amount_decimal"] = tier.unit_amount_decimal
    if tier.flat_amount is not None:
        params["flat_amount"] = tier.flat_amount
    return params


def matches_stripe(found: Mapping[str, Any], price: CatalogPrice, meter_id: str | None) -> bool:
    """Return whether Stripe's price, with its tiers expanded, has the terms of the catalogue."""
    recurring = found["recurring"] or {"interval": None, "interval_count": None, "meter": None}
    tiers = [
        (tier["up_to"], read(tier["unit_amount_decimal"]), tier["flat_amount"]) for tier in found.get("tiers") or []
    ]
    wanted = [(tier.up_to, read_amount(tier), tier.flat_amount) for tier in price.tiers]
    return (
        (found["currency"], recurring["interval"], recurring["interval_count"], recurring["meter"])
        == (price.currency, price.interval, 1, meter_id)
        and read(found["unit_amount_decimal"]) == read_amount(price)
        and (found["tiers_mode"], tiers) == (price.tiers_mode, wanted)
        and price.tax_behavior in (None, found["tax_behavior"])
    )


def read(amount: str | None) -> Decimal | None:
    """Return Stripe's decimal."""
    return None if amount is None else Decimal(amount)


def read_amount(of: CatalogPrice | Tier) -> Decimal | None:
    """Return the amount per unit, whole or with a fraction."""
    return Decimal(of.unit_amount) if of.unit_amount is not None else of.unit_amount_decimal


def matches_catalog(price: Price, wanted: CatalogPrice) -> bool:
    """Return whether a mirrored price has the catalogue's currency, amount and interval. The mirror has no tiers."""
    return (price.currency, price.unit_amount, price.interval) == (wanted.currency, wanted.unit_amount, wanted.interval)


def describe_terms(price: CatalogPrice) -> str:
    """Return the terms for people, such as ``25000 USD per month``. The amount is in minor units."""
    amount = read_amount(price)
    if amount is None:
        amounts = ", ".join(describe_tier(tier) for tier in price.tiers)
        return f"{price.tiers_mode} tiers ({amounts}) {price.currency.upper()} {INTERVALS[price.interval]}"
    return f"{amount} {price.currency.upper()} {INTERVALS[price.interval]}"


def describe_tier(tier: Tier) -> str:
    """Return a tier for people, such as ``up to 10: 0``."""
    parts = [str(part) for part in (read_amount(tier),) if part is not None]
    parts += [f"{tier.flat_amount} flat"] if tier.flat_amount is not None else []
    return f"{f'up to {tier.up_to}' if tier.up_to is not None else 'above'}: {' + '.join(parts)}"
