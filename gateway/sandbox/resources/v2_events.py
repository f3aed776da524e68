"""The endpoints of thin events (https://docs.stripe.com/api/v2/core/events)."""

from stripe.params.v2.core import EventListParams, EventRetrieveParams

from gateway.sandbox.errors import v2_error
from gateway.sandbox.json_types import Json
from gateway.sandbox.routing import Routes
from gateway.sandbox.work import THIN, Work

routes = Routes()


@routes.get("/v2/core/events", EventListParams)
def list_all(work: Work, params: Json) -> Json:
    """List all thin events on one page, newest first."""
    return {"data": list(work.select(THIN)), "next_page_url": None, "previous_page_url": None}


@routes.get("/v2/core/events/{event}", EventRetrieveParams)
def retrieve(work: Work, params: Json, event: str) -> Json:
    """Return a thin event with its data, which its delivery lacks."""
    found = work.find(THIN, event)
    if found is None:
        raise v2_error("not_found", f"No such event: '{event}'", 404)
    return found
