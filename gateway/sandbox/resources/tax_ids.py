"""Endpoints of tax ids (https://docs.stripe.com/api/tax_ids). No tax depends on them."""

import re
from typing import get_args

from stripe.params import (
    CustomerTaxIdCreateParams,
    CustomerTaxIdDeleteParams,
    CustomerTaxIdListParams,
    CustomerTaxIdRetrieveParams,
)

from gateway.sandbox.errors import invalid, missing
from gateway.sandbox.json_types import Json
from gateway.sandbox.pagination import CURSORS, page
from gateway.sandbox.routing import Routes
from gateway.sandbox.work import Work

routes = Routes()
_MAX_TAX_IDS = 5
_VERIFIED_BY_STRIPE = {"eu_vat", "gb_vat", "au_abn"}
_TYPES = frozenset(get_args(get_args(CustomerTaxIdCreateParams.__annotations__["type"])[0]))
_FORMATS = {
    "eu_vat": re.compile(r"[A-Z]{2}[A-Z0-9]{8,12}"),
    "gb_vat": re.compile(r"(GB|XI)\d{9}(\d{3})?"),
    "us_ein": re.compile(r"\d{2}-?\d{7}"),
}
"""The formats of the most common types. The sandbox accepts any value for the other types.

https://docs.stripe.com/billing/customer/tax-ids
"""


@routes.post("/v1/customers/{customer}/tax_ids", CustomerTaxIdCreateParams, "type value")
def create(work: Work, params: Json, customer: str) -> Json:
    """Create a tax id for a customer. Its verification is pending if Stripe verifies the type."""
    work.get("customer", customer, param="customer")
    kind, value = params["type"], params["value"]
    _check(kind, value)
    if len(list(work.select("tax_id", customer))) >= _MAX_TAX_IDS:  # the limit is documented, the text inferred
        raise invalid(f"A customer can have up to {_MAX_TAX_IDS} tax IDs.")
    status = "pending" if kind in _VERIFIED_BY_STRIPE else "unavailable"
    return work.add(
        {
            "id": work.ids.new("txi"),
            "object": "tax_id",
            "country": value[:2] if kind == "eu_vat" else kind[:2].upper(),
            "created": work.now,
            "customer": customer,
            "customer_account": None,
            "livemode": False,
            "owner": {"customer": customer, "customer_account": None, "type": "customer"},
            "type": kind,
            "value": value,
            "verification": {"status": status, "verified_address": None, "verified_name": None},
        }
    )


def _check(kind: str, value: str) -> None:
    if kind not in _TYPES:
        raise invalid(f"Invalid type: must be one of {', '.join(sorted(_TYPES))}", param="type")
    if kind in _FORMATS and not _FORMATS[kind].fullmatch(value):
        # The code is documented (https://docs.stripe.com/error-codes#tax-id-invalid). The text is inferred.
        raise invalid(f"Invalid value for {kind}.", param="value", code="tax_id_invalid")


@routes.get("/v1/customers/{customer}/tax_ids/{tax_id}", CustomerTaxIdRetrieveParams)
def retrieve(work: Work, params: Json, customer: str, tax_id: str) -> Json:
    """Return a tax id of this customer."""
    found = work.get("tax_id", tax_id)
    if found["customer"] != customer:
        raise missing("tax_id", tax_id)
    return found


@routes.delete("/v1/customers/{customer}/tax_ids/{tax_id}", CustomerTaxIdDeleteParams)
def delete(work: Work, params: Json, customer: str, tax_id: str) -> Json:
    """Delete a tax id of this customer."""
    return work.remove(retrieve(work, params, customer, tax_id))


@routes.get("/v1/customers/{customer}/tax_ids", CustomerTaxIdListParams, CURSORS)
def list_all(work: Work, params: Json, customer: str) -> Json:
    """List the customer's tax ids."""
    work.get("customer", customer, param="customer")
    rows = work.select("tax_id", customer)
    return page(work, rows, params, kind="tax_id", url=f"/v1/customers/{customer}/tax_ids")
