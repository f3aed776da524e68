"""Endpoints of refunds (https://docs.stripe.com/api/refunds)."""

from stripe.params import RefundCreateParams, RefundListParams, RefundRetrieveParams, RefundUpdateParams

from gateway.sandbox.billing import refunds
from gateway.sandbox.errors import invalid
from gateway.sandbox.json_types import Json
from gateway.sandbox.metadata import merged
from gateway.sandbox.pagination import CURSORS, in_range, page
from gateway.sandbox.routing import Routes
from gateway.sandbox.work import Work

routes = Routes()


@routes.post("/v1/refunds", RefundCreateParams, "amount charge metadata payment_intent reason")
def create(work: Work, params: Json) -> Json:
    """Refund a charge, or the charge that paid a payment intent."""
    if ("charge" in params) == ("payment_intent" in params):
        text = "One of the following params should be provided for this request: payment_intent or charge."
        raise invalid(text)
    charge_id = params.get("charge")
    if charge_id is None:
        intent = work.get("payment_intent", params["payment_intent"], param="payment_intent")
        charge_id = intent["latest_charge"]
        if charge_id is None:
            text = f"This PaymentIntent ({intent['id']}) does not have a successful charge to refund."
            raise invalid(text, param="payment_intent")
    return refunds.refund(work, work.get("charge", charge_id, param="charge"), params)


@routes.get("/v1/refunds/{refund}", RefundRetrieveParams)
def retrieve(work: Work, params: Json, refund: str) -> Json:
    """Return a refund."""
    return work.get("refund", refund)


@routes.post("/v1/refunds/{refund}", RefundUpdateParams, "metadata")
def update(work: Work, params: Json, refund: str) -> Json:
    """Change the metadata."""
    found = work.get("refund", refund)
    return work.update(found, {"metadata": merged(found["metadata"], params.get("metadata", {}))})


@routes.get("/v1/refunds", RefundListParams, f"{CURSORS} charge created payment_intent")
def list_all(work: Work, params: Json) -> Json:
    """List refunds, filtered by charge, payment intent and creation time."""
    rows = (
        row
        for row in work.select("refund")
        if params.get("charge") in (None, row["charge"])
        and params.get("payment_intent") in (None, row["payment_intent"])
        and in_range(row["created"], params.get("created"))
    )
    return page(work, rows, params, kind="refund", url="/v1/refunds")
