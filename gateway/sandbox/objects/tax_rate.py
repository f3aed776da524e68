"""Builder of tax rates (https://docs.stripe.com/api/tax_rates/object)."""

from gateway.sandbox.json_types import Json
from gateway.sandbox.work import Work


def build(work: Work, params: Json) -> Json:
    """Return a new tax rate."""
    return {
        "id": work.ids.new("txr"),
        "object": "tax_rate",
        "active": params.get("active", True),
        "country": params.get("country") or None,
        "created": work.now,
        "description": params.get("description") or None,
        "display_name": params["display_name"],
        "effective_percentage": params.get("effective_percentage"),
        "flat_amount": None,
        "inclusive": params["inclusive"],
        "jurisdiction": params.get("jurisdiction") or None,
        "jurisdiction_level": params.get("jurisdiction_level"),
        "livemode": False,
        "metadata": params.get("metadata") or {},
        "percentage": params["percentage"],
        "rate_type": "percentage",
        "state": params.get("state") or None,
        "tax_type": params.get("tax_type"),
    }
