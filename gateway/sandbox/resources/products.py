"""Endpoints of products (https://docs.stripe.com/api/products)."""

from stripe.params import (
    ProductCreateParams,
    ProductDeleteParams,
    ProductListParams,
    ProductRetrieveParams,
    ProductUpdateParams,
)

from gateway.sandbox.errors import invalid
from gateway.sandbox.json_types import Json
from gateway.sandbox.metadata import merged
from gateway.sandbox.objects.catalog import build_product
from gateway.sandbox.pagination import CURSORS, page
from gateway.sandbox.routing import Routes
from gateway.sandbox.work import Work

routes = Routes()
_FIELDS = "name active description images marketing_features metadata statement_descriptor tax_code unit_label url"
_CLEARABLE = ("description", "statement_descriptor", "tax_code", "unit_label", "url")


@routes.post("/v1/products", ProductCreateParams, f"{_FIELDS} id type")
def create(work: Work, params: Json) -> Json:
    """Create a product. The caller may choose its id."""
    if "id" in params and work.find("product", params["id"]):
        raise invalid(f"Product already exists with ID: {params['id']}", code="resource_already_exists")
    return work.add(build_product(work, params))


@routes.get("/v1/products/{product}", ProductRetrieveParams)
def retrieve(work: Work, params: Json, product: str) -> Json:
    """Return a product."""
    return work.get("product", product)


@routes.post("/v1/products/{product}", ProductUpdateParams, f"{_FIELDS} default_price")
def update(work: Work, params: Json, product: str) -> Json:
    """Set the given fields. An empty value clears its field."""
    found = work.get("product", product)
    changes = {key: value for key, value in params.items() if key != "expand"}
    changes |= {key: changes[key] or None for key in _CLEARABLE if key in changes}
    if "metadata" in changes:
        changes["metadata"] = merged(found["metadata"], changes["metadata"])
    return work.update(found, changes | {"updated": work.now}) if found | changes != found else found


@routes.delete("/v1/products/{product}", ProductDeleteParams)
def delete(work: Work, params: Json, product: str) -> Json:
    """Delete a product that has no prices."""
    if any(price["product"] == product for price in work.select("price")):
        raise invalid("This product cannot be deleted because it has one or more user-created prices.")
    return work.remove(work.get("product", product))


@routes.get("/v1/products", ProductListParams, f"{CURSORS} active ids")
def list_all(work: Work, params: Json) -> Json:
    """List products, filtered by ``active`` and ``ids``."""
    rows = (
        row
        for row in work.select("product")
        if params.get("active") in (None, row["active"]) and row["id"] in params.get("ids", [row["id"]])
    )
    return page(work, rows, params, kind="product", url="/v1/products")
