"""Endpoints of tax rates (https://docs.stripe.com/api/tax_rates)."""

from stripe.params import TaxRateCreateParams, TaxRateListParams, TaxRateRetrieveParams, TaxRateUpdateParams

from gateway.sandbox.errors import invalid
from gateway.sandbox.json_types import Json
from gateway.sandbox.metadata import merged
from gateway.sandbox.objects.tax_rate import build
from gateway.sandbox.pagination import CURSORS, in_range, page
from gateway.sandbox.routing import Routes
from gateway.sandbox.work import Work

routes = Routes()
_FIELDS = "active country description display_name jurisdiction metadata state tax_type"
_ALL = 100


@routes.post("/v1/tax_rates", TaxRateCreateParams, f"{_FIELDS} inclusive percentage")
def create(work: Work, params: Json) -> Json:
    """Create a tax rate."""
    if not 0 <= params["percentage"] <= _ALL:
        raise invalid("`percentage` must be from 0 to 100.", param="percentage")  # inferred wording
    return work.add(build(work, params))


@routes.get("/v1/tax_rates/{tax_rate}", TaxRateRetrieveParams)
def retrieve(work: Work, params: Json, tax_rate: str) -> Json:
    """Return a tax rate."""
    return work.get("tax_rate", tax_rate, param="tax_rate")


@routes.post("/v1/tax_rates/{tax_rate}", TaxRateUpdateParams, _FIELDS)
def update(work: Work, params: Json, tax_rate: str) -> Json:
    """Change the given fields. Percentages never change."""
    found = work.get("tax_rate", tax_rate, param="tax_rate")
    changes = {key: params[key] for key in _FIELDS.split() if key in params}
    if "metadata" in changes:
        changes["metadata"] = merged(found["metadata"], changes["metadata"])
    return work.update(found, changes)


@routes.get("/v1/tax_rates", TaxRateListParams, f"{CURSORS} active created inclusive")
def list_all(work: Work, params: Json) -> Json:
    """List tax rates, filtered by creation time, ``active`` and ``inclusive``."""
    rows = (
        row
        for row in work.select("tax_rate")
        if params.get("active") in (None, row["active"])
        and params.get("inclusive") in (None, row["inclusive"])
        and in_range(row["created"], params.get("created"))
    )
    return page(work, rows, params, kind="tax_rate", url="/v1/tax_rates")
