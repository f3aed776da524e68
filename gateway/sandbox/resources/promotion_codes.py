"""Endpoints of promotion codes (https://docs.stripe.com/api/promotion_codes). The texts of the errors are inferred."""

from stripe.params import (
    PromotionCodeCreateParams,
    PromotionCodeListParams,
    PromotionCodeRetrieveParams,
    PromotionCodeUpdateParams,
)

from gateway.sandbox.billing import redemption
from gateway.sandbox.errors import invalid, required
from gateway.sandbox.json_types import Json
from gateway.sandbox.metadata import merged
from gateway.sandbox.objects.coupon import build_promotion_code
from gateway.sandbox.pagination import CURSORS, in_range, page
from gateway.sandbox.routing import Routes
from gateway.sandbox.work import Work

routes = Routes()


@routes.post(
    "/v1/promotion_codes",
    PromotionCodeCreateParams,
    "promotion[type] promotion[coupon] active code customer expires_at max_redemptions metadata "
    "restrictions[first_time_transaction]",
)
def create(work: Work, params: Json) -> Json:
    """Create a code that customers enter to redeem a coupon. A customer's active codes must differ."""
    if not params["promotion"].get("coupon"):
        raise required("promotion[coupon]")
    coupon = work.get("coupon", params["promotion"]["coupon"], param="promotion[coupon]", status=400)
    if not redemption.is_valid(work, coupon):
        raise invalid("The coupon can no longer be redeemed.", param="promotion[coupon]")
    if "customer" in params:
        work.get("customer", params["customer"], param="customer", status=400)
    promotion = build_promotion_code(work, params)
    taken = {
        row["code"].lower()
        for row in work.select("promotion_code")
        if row["customer"] in (None, promotion["customer"]) and redemption.is_active(work, row)
    }
    if promotion["code"].lower() in taken:
        raise invalid(f"An active promotion code with `code: {promotion['code']}` already exists.", param="code")
    return _shown(work, work.add(promotion))


@routes.get("/v1/promotion_codes/{promotion_code}", PromotionCodeRetrieveParams)
def retrieve(work: Work, params: Json, promotion_code: str) -> Json:
    """Return a promotion code."""
    return _shown(work, work.get("promotion_code", promotion_code, param="promotion_code"))


@routes.post("/v1/promotion_codes/{promotion_code}", PromotionCodeUpdateParams, "active metadata")
def update(work: Work, params: Json, promotion_code: str) -> Json:
    """Change the metadata, or make the code active or inactive."""
    found = work.get("promotion_code", promotion_code, param="promotion_code")
    changes: Json = {"active": params["active"]} if "active" in params else {}
    if "metadata" in params:
        changes["metadata"] = merged(found["metadata"], params["metadata"])
    return _shown(work, work.update(found, changes))


@routes.get("/v1/promotion_codes", PromotionCodeListParams, f"{CURSORS} active code coupon created customer")
def list_all(work: Work, params: Json) -> Json:
    """List promotion codes, filtered by code, coupon, customer, creation time and ``active``."""
    rows = (
        row
        for row in (_shown(work, found) for found in work.select("promotion_code", params.get("customer")))
        if params.get("active") in (None, row["active"])
        and str(params.get("code", row["code"])).lower() == row["code"].lower()
        and params.get("coupon") in (None, row["promotion"]["coupon"])
        and in_range(row["created"], params.get("created"))
    )
    return page(work, rows, params, kind="promotion_code", url="/v1/promotion_codes")


def _shown(work: Work, promotion: Json) -> Json:
    return promotion | {"active": redemption.is_active(work, promotion)}
