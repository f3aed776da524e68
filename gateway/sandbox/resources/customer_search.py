"""The search of customers (https://docs.stripe.com/api/customers/search)."""

from stripe.params import CustomerSearchParams

from gateway.sandbox import search_query
from gateway.sandbox.errors import invalid
from gateway.sandbox.json_types import Json
from gateway.sandbox.routing import Routes
from gateway.sandbox.work import Work

routes = Routes()
_DEFAULT_LIMIT, _MAX_LIMIT = 10, 100


@routes.get("/v1/customers/search", CustomerSearchParams, "query limit page")
def search(work: Work, params: Json) -> Json:
    """Return the customers that match the query, as they were ``search_lag`` seconds ago.

    Each page is named by the number of rows before it, which Stripe encodes.
    """
    matches = search_query.parse(params["query"])
    limit = min(max(params.get("limit", _DEFAULT_LIMIT), 1), _MAX_LIMIT)
    first = _first_row(params.get("page") or "0")
    rows = [row for row in work.store.searchable.customers(work.settings.search_lag) if matches(row)]
    more = len(rows) > first + limit
    return {
        "object": "search_result",
        "data": rows[first : first + limit],
        "has_more": more,
        "next_page": str(first + limit) if more else None,
        "url": "/v1/customers/search",
    }


def _first_row(page: str) -> int:
    if not page.isdecimal():
        raise invalid("Invalid page.", param="page")  # inferred wording
    return int(page)
