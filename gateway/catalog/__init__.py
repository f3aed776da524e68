"""The catalogue: the plans that this deployment sells. Every rule about plans follows from it."""

from gateway.catalog.catalog import Catalog, OnDispute
from gateway.catalog.plans import (
    CatalogPlan,
    CatalogPrice,
    Charge,
    Exposure,
    Interval,
    Meter,
    Metered,
    TaxBehavior,
    Tier,
    TiersMode,
    Trial,
    round_amount,
)
from gateway.catalog.read import CatalogMistakes

__all__ = [
    "Catalog",
    "CatalogMistakes",
    "CatalogPlan",
    "CatalogPrice",
    "Charge",
    "Exposure",
    "Interval",
    "Meter",
    "Metered",
    "OnDispute",
    "TaxBehavior",
    "Tier",
    "TiersMode",
    "Trial",
    "round_amount",
]
