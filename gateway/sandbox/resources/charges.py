"""https://docs.stripe.com/api/charges: what was tried on cards. They are made by paying, never by themselves."""

from stripe.params import ChargeListParams, ChargeRetrieveParams

from gateway.sandbox.json_types import Json
from gateway.sandbox.pagination import CURSORS, in_range, page
from gateway.sandbox.routing import Routes
from gateway.sandbox.work import Work

routes = Routes()


@routes.get("/v1/charges/{charge}", ChargeRetrieveParams)
def retrieve(work: Work, params: Json, charge: str) -> Json:
    """A charge."""
    return work.get("charge", charge)


@routes.get("/v1/charges", ChargeListParams, f"{CURSORS} customer payment_intent created")
def list_all(work: Work, params: Json) -> Json:
    """Charges, by customer or by intent."""
    rows = (
        row
        for row in work.select("charge", params.get("customer"))
        if params.get("payment_intent") in (None, row["payment_intent"])
        and in_range(row["created"], params.get("created"))
    )
    return page(work, rows, params, kind="charge", url="/v1/charges")
