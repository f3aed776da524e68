"""Endpoints of the cards of Stripe's older interface (https://docs.stripe.com/api/cards)."""

from stripe.params import (
    CustomerPaymentSourceCreateParams,
    CustomerPaymentSourceListParams,
    CustomerPaymentSourceRetrieveParams,
    SourceDetachParams,
)

from gateway.sandbox.billing import sources
from gateway.sandbox.json_types import Json
from gateway.sandbox.objects.source import shown
from gateway.sandbox.pagination import CURSORS, page_of
from gateway.sandbox.resources import payment_methods
from gateway.sandbox.routing import Routes
from gateway.sandbox.work import Work

routes = Routes()


@routes.post("/v1/customers/{customer}/sources", CustomerPaymentSourceCreateParams, "source metadata")
def create(work: Work, params: Json, customer: str) -> Json:
    """Add a card by its token. The customer's first source becomes its default one."""
    found = work.get("customer", customer, param="customer")
    return shown(sources.add(work, found, params["source"], params.get("metadata") or {}))


@routes.get("/v1/customers/{customer}/sources", CustomerPaymentSourceListParams, f"{CURSORS} object")
def list_all(work: Work, params: Json, customer: str) -> Json:
    """List the customer's sources, which are all cards."""
    work.get("customer", customer, param="customer")
    rows = [shown(row) for row in sources.of_customer(work, customer) if params.get("object") in (None, "card")]
    return page_of(rows, params, kind="source", url=f"/v1/customers/{customer}/sources")


@routes.get("/v1/customers/{customer}/sources/{source}", CustomerPaymentSourceRetrieveParams)
def retrieve(work: Work, params: Json, customer: str, source: str) -> Json:
    """Return a source of this customer."""
    return shown(sources.find(work, customer, source, param="id", status=404))


@routes.delete("/v1/customers/{customer}/sources/{source}", SourceDetachParams)
def delete(work: Work, params: Json, customer: str, source: str) -> Json:
    """Remove a source from this customer, and clear it wherever it was the default."""
    found = sources.find(work, customer, source, param="id", status=404)
    work.tell("customer.source.deleted", shown(found))
    payment_methods.detach(work, {}, source)
    return {"id": source, "object": "card", "deleted": True}
