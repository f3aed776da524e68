"""The search of customers (https://docs.stripe.com/api/customers/search)."""

import re

from stripe.params import CustomerSearchParams

from gateway.sandbox.errors import invalid
from gateway.sandbox.json_types import Json
from gateway.sandbox.routing import Routes
from gateway.sandbox.work import Work

routes = Routes()
_QUERY = re.compile(r"metadata\['(?P<key>\w+)'\]:'(?P<value>(?:[^'\\]|\\.)*)'")


@routes.get("/v1/customers/search", CustomerSearchParams, "query limit")
def search(work: Work, params: Json) -> Json:
    """Return the customers whose metadata match the query, newest first."""
    if (query := _QUERY.fullmatch(params["query"])) is None:
        raise invalid("The sandbox searches only by one metadata value.", param="query")
    value = re.sub(r"\\(.)", r"\1", query["value"])
    rows = [row for row in work.select("customer") if row["metadata"].get(query["key"]) == value]
    return {
        "object": "search_result",
        "data": rows[: params.get("limit", 10)],
        "has_more": False,
        "next_page": None,
        "url": "/v1/customers/search",
    }
