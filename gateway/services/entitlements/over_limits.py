"""Compare what an organization uses with the limits of a plan. The gateway reports, and other services enforce."""

from collections.abc import Mapping
from typing import NamedTuple

from gateway.catalog import Catalog, CatalogPlan


class OverLimit(NamedTuple):
    """A limit of a plan that the organization exceeds."""

    limit: str
    allowed: int
    present: int


def find_levels(catalog: Catalog, requested_plan: str, quantity: int, reported: Mapping[str, int]) -> Mapping[str, int]:
    """Return the known levels by name: the ``reported`` ones, and the subscription's quantity of another unit.

    The quantity may stay below a reported level, and follows it later.
    """
    plan = catalog.find(requested_plan)
    counted = {plan.unit: quantity} if plan is not None and plan.unit is not None else {}
    return counted | dict(reported)


def find_over_limits(catalog: Catalog, plan: CatalogPlan, levels: Mapping[str, int]) -> list[OverLimit]:
    """Return the limits of ``plan`` that the levels exceed. A limit whose level is not known is left out."""
    return [
        OverLimit(name, allowed, levels[name])
        for name, allowed in catalog.list_limits(plan).items()
        if allowed is not None and levels.get(name, 0) > allowed
    ]
