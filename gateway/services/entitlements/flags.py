"""Entitlements as feature flags, for the OpenFeature Remote Evaluation Protocol (OFREP).

A feature is a boolean flag and a limit an integer flag. The catalogue allows no name for both.
https://github.com/open-feature/protocol
"""

from gateway.catalog import Catalog
from gateway.errors import FlagNotFound
from gateway.json_types import Json
from gateway.services.entitlements.lookup import CurrentPlan, find_usable_plan

# The largest integer of all OpenFeature SDKs. It is more than any limit of a catalogue, so comparisons come out right.
UNLIMITED = 2**31 - 1


def evaluate_flag(catalog: Catalog, current: CurrentPlan, key: str) -> Json:
    """Return the evaluation of one flag. Raise FlagNotFound if it is neither a feature nor a limit."""
    for each in evaluate_flags(catalog, current):
        if each["key"] == key:
            return each
    detail = f"The catalogue has no feature and no limit {key}."
    raise FlagNotFound(detail, key=key, errorCode="FLAG_NOT_FOUND", errorDetails=detail)


def evaluate_flags(catalog: Catalog, current: CurrentPlan) -> list[Json]:
    """Return the evaluations of all flags. Each one's variant is the plan."""
    plan = find_usable_plan(catalog, current.plan)
    limits = catalog.list_limits(plan)
    values: Json = catalog.list_features(plan) | {
        name: UNLIMITED if limit is None else limit for name, limit in limits.items()
    }
    metadata = {"standing": current.standing}
    return [
        {
            "key": name,
            "value": value,
            "reason": "TARGETING_MATCH",
            "variant": current.plan,
            "metadata": metadata | ({"unlimited": limits[name] is None} if name in limits else {}),
        }
        for name, value in values.items()
    ]
