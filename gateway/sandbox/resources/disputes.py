"""Endpoints of disputes (https://docs.stripe.com/api/disputes)."""

from stripe.params import DisputeCloseParams, DisputeListParams, DisputeRetrieveParams, DisputeUpdateParams

from gateway.sandbox.billing import disputes
from gateway.sandbox.json_types import Json
from gateway.sandbox.metadata import merged
from gateway.sandbox.pagination import CURSORS, in_range, page
from gateway.sandbox.routing import Routes
from gateway.sandbox.work import Work

routes = Routes()


@routes.get("/v1/disputes/{dispute}", DisputeRetrieveParams)
def retrieve(work: Work, params: Json, dispute: str) -> Json:
    """Return a dispute."""
    return work.get("dispute", dispute, param="dispute")


@routes.post("/v1/disputes/{dispute}", DisputeUpdateParams, "evidence[uncategorized_text] metadata submit")
def update(work: Work, params: Json, dispute: str) -> Json:
    """Add evidence or metadata."""
    found = work.get("dispute", dispute, param="dispute")
    if "metadata" in params:
        changes = {"metadata": merged(found["metadata"], params["metadata"])}
        found = work.update(found, changes, "charge.dispute.updated")
    if "evidence" in params:
        return disputes.respond(work, found, params["evidence"], submit=params.get("submit", True))
    return found


@routes.post("/v1/disputes/{dispute}/close", DisputeCloseParams)
def close(work: Work, params: Json, dispute: str) -> Json:
    """Accept the dispute, which loses it."""
    return disputes.close(work, work.get("dispute", dispute, param="dispute"), "lost")


@routes.get("/v1/disputes", DisputeListParams, f"{CURSORS} charge created payment_intent")
def list_all(work: Work, params: Json) -> Json:
    """List disputes, filtered by charge, payment intent and creation time."""
    rows = (
        row
        for row in work.select("dispute")
        if params.get("charge") in (None, row["charge"])
        and params.get("payment_intent") in (None, row["payment_intent"])
        and in_range(row["created"], params.get("created"))
    )
    return page(work, rows, params, kind="dispute", url="/v1/disputes")
