"""Endpoints of coupons (https://docs.stripe.com/api/coupons). The texts of the errors are inferred."""

from stripe.params import (
    CouponCreateParams,
    CouponDeleteParams,
    CouponListParams,
    CouponRetrieveParams,
    CouponUpdateParams,
)

from gateway.sandbox.billing import redemption
from gateway.sandbox.currencies import known
from gateway.sandbox.errors import invalid, required
from gateway.sandbox.json_types import Json
from gateway.sandbox.metadata import merged
from gateway.sandbox.objects.coupon import build
from gateway.sandbox.pagination import CURSORS, in_range, page
from gateway.sandbox.routing import Routes
from gateway.sandbox.work import Work

routes = Routes()
_ALL = 100


@routes.post(
    "/v1/coupons",
    CouponCreateParams,
    "amount_off applies_to[products] currency duration duration_in_months id max_redemptions metadata name percent_off "
    "redeem_by",
)
def create(work: Work, params: Json) -> Json:
    """Create a coupon that takes off either a part or an amount."""
    _check_amount(params)
    _check_duration(params)
    if params.get("id") and work.find("coupon", params["id"]):
        raise invalid("Coupon already exists.", param="id", code="resource_already_exists")
    for product in params.get("applies_to", {}).get("products", []):
        work.get("product", product, param="applies_to[products]", status=400)
    currency = {"currency": known(params["currency"])} if "amount_off" in params else {"currency": None}
    return work.add(build(work, params | currency))


def _check_amount(params: Json) -> None:
    if ("percent_off" in params) == ("amount_off" in params):
        raise invalid("You must pass exactly one of `percent_off` and `amount_off`.", param="percent_off")
    if "percent_off" in params and not 0 < params["percent_off"] <= _ALL:
        raise invalid("`percent_off` must be above 0 and at most 100.", param="percent_off")
    if "amount_off" not in params:
        return
    if params["amount_off"] <= 0:
        raise invalid("Invalid positive integer", param="amount_off", code="parameter_invalid_integer")
    if "currency" not in params:
        raise required("currency")


def _check_duration(params: Json) -> None:
    repeats = params.get("duration") == "repeating"
    if repeats and "duration_in_months" not in params:
        raise required("duration_in_months")
    if not repeats and "duration_in_months" in params:
        raise invalid("`duration_in_months` requires `duration` to be `repeating`.", param="duration_in_months")
    if repeats and params["duration_in_months"] <= 0:
        raise invalid("Invalid positive integer", param="duration_in_months", code="parameter_invalid_integer")


@routes.get("/v1/coupons/{coupon}", CouponRetrieveParams)
def retrieve(work: Work, params: Json, coupon: str) -> Json:
    """Return a coupon."""
    return _shown(work, work.get("coupon", coupon, param="coupon"))


@routes.post("/v1/coupons/{coupon}", CouponUpdateParams, "metadata name")
def update(work: Work, params: Json, coupon: str) -> Json:
    """Change the name and the metadata. What a coupon takes off never changes."""
    found = work.get("coupon", coupon, param="coupon")
    changes: Json = {"name": params["name"] or None} if "name" in params else {}
    if "metadata" in params:
        changes["metadata"] = merged(found["metadata"], params["metadata"])
    return _shown(work, work.update(found, changes))


@routes.delete("/v1/coupons/{coupon}", CouponDeleteParams)
def delete(work: Work, params: Json, coupon: str) -> Json:
    """Delete a coupon. Discounts that were redeemed before stay."""
    return work.remove(work.get("coupon", coupon, param="coupon"))


@routes.get("/v1/coupons", CouponListParams, f"{CURSORS} created")
def list_all(work: Work, params: Json) -> Json:
    """List coupons, filtered by creation time."""
    rows = (_shown(work, row) for row in work.select("coupon") if in_range(row["created"], params.get("created")))
    return page(work, rows, params, kind="coupon", url="/v1/coupons")


def _shown(work: Work, coupon: Json) -> Json:
    return coupon | {"valid": redemption.is_valid(work, coupon)}
