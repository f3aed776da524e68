"""Endpoints of events (https://docs.stripe.com/api/events)."""

from fnmatch import fnmatchcase

from stripe.params import EventListParams, EventRetrieveParams

from gateway.sandbox.errors import invalid
from gateway.sandbox.json_types import Json
from gateway.sandbox.pagination import CURSORS, in_range, page
from gateway.sandbox.routing import Routes
from gateway.sandbox.work import Work

routes = Routes()


@routes.get("/v1/events/{event}", EventRetrieveParams)
def retrieve(work: Work, params: Json, event: str) -> Json:
    """Return an event with the object as it was when the event happened."""
    return work.get("event", event)


@routes.get("/v1/events", EventListParams, f"{CURSORS} type types created delivery_success")
def list_all(work: Work, params: Json) -> Json:
    """List events. ``type`` may contain a ``*``.

    ``delivery_success=false`` selects the events that some endpoint has not yet accepted.
    """
    if "type" in params and "types" in params:
        raise invalid("You may only specify one of these parameters: type, types.")
    rows = (row for row in work.select("event") if _listed(row, params))
    return page(work, rows, params, kind="event", url="/v1/events")


def _listed(row: Json, params: Json) -> bool:
    return (
        fnmatchcase(row["type"], params.get("type", "*"))
        and row["type"] in params.get("types", [row["type"]])
        and params.get("delivery_success") in (None, row["pending_webhooks"] == 0)
        and in_range(row["created"], params.get("created"))
    )
