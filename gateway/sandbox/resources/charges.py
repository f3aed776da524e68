"""Endpoints of charges (https://docs.stripe.com/api/charges). Only paying an intent creates a charge."""

from stripe.params import ChargeListParams, ChargeRetrieveParams

from gateway.sandbox.json_types import Json
from gateway.sandbox.pagination import CURSORS, in_range, page
from gateway.sandbox.routing import Routes
from gateway.sandbox.work import Work

routes = Routes()


@routes.get("/v1/charges/{charge}", ChargeRetrieveParams)
def retrieve(work: Work, params: Json, charge: str) -> Json:
    """Return a charge."""
    return work.get("charge", charge)


@routes.get("/v1/charges", ChargeListParams, f"{CURSORS} customer payment_intent created")
def list_all(work: Work, params: Json) -> Json:
    """List charges, filtered by customer, payment intent and creation time."""
    rows = (
        row
        for row in work.select("charge", params.get("customer"))
        if params.get("payment_intent") in (None, row["payment_intent"])
        and in_range(row["created"], params.get("created"))
    )
    return page(work, rows, params, kind="charge", url="/v1/charges")
