"""Compare what an organization uses with the limits of a plan. The gateway reports, and other services enforce."""

from collections.abc import Mapping
from typing import NamedTuple

from gateway.catalog import Catalog, CatalogPlan


class OverLimit(NamedTuple):
    """A limit of a plan that the organization exceeds."""

    limit: str
    allowed: int
    present: int


def find_levels(catalog: Catalog, requested_plan: str, quantity: int) -> dict[str, int]:
    """Return the known levels by name: the subscription's quantity, if its plan says what the quantity counts."""
    plan = catalog.find(requested_plan)
    return {plan.unit: quantity} if plan is not None and plan.unit is not None else {}


def find_over_limits(catalog: Catalog, plan: CatalogPlan, levels: Mapping[str, int]) -> list[OverLimit]:
    """Return the limits of ``plan`` that the levels exceed. A limit whose level is not known is left out."""
    return [
        OverLimit(name, allowed, levels[name])
        for name, allowed in catalog.list_limits(plan).items()
        if allowed is not None and levels.get(name, 0) > allowed
    ]
