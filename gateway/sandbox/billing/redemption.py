"""The redemption of coupons and promotion codes into discounts (https://docs.stripe.com/billing/subscriptions/coupons).

The texts of the errors are inferred, except for those of unknown ids.
"""

from gateway.sandbox.errors import invalid, missing
from gateway.sandbox.events import previous_attributes
from gateway.sandbox.json_types import Json
from gateway.sandbox.objects.coupon import build_discount
from gateway.sandbox.work import Work

_ONE_SOURCE = "A discount must name exactly one of `coupon`, `discount` and `promotion_code`."

_NOT_FIRST = "This promotion code cannot be redeemed because the associated customer has prior transactions."


def redeem(work: Work, given: list[Json] | str, owner: Json, currency: str, param: str = "discounts") -> list[str]:
    """Return the ids of the requested discounts, and store the new ones without an event.

    An empty string asks for none. ``owner`` holds the ids of the customer and of what gets the discounts. Each new
    discount counts as one redemption of its coupon and promotion code.
    """
    if isinstance(given, str):
        return []
    found = [_discount(work, wanted, owner, currency, f"{param}[{index}]") for index, wanted in enumerate(given)]
    if len(set(found)) < len(found):
        raise invalid("The same discount cannot be applied twice.", param=param)
    return found


def _discount(work: Work, wanted: Json, owner: Json, currency: str, param: str) -> str:
    if len(wanted) != 1:
        raise invalid(_ONE_SOURCE, param=param)
    (kind,) = wanted
    if kind == "discount":
        discount = work.find("discount", wanted["discount"])
        if discount is None or discount["customer"] != owner["customer"]:
            raise missing("discount", wanted["discount"], param=f"{param}[discount]", status=400)
        return str(discount["id"])
    promotion = None
    if kind == "promotion_code":
        promotion = work.get("promotion_code", wanted[kind], param=f"{param}[{kind}]", status=400)
        _check_promotion(work, promotion, owner["customer"], f"{param}[{kind}]")
    coupon_id = promotion["promotion"]["coupon"] if promotion else wanted["coupon"]
    coupon = work.get("coupon", coupon_id, param=f"{param}[{kind}]", status=400)
    return attach(work, coupon, promotion, owner, currency, f"{param}[{kind}]")


def attach(work: Work, coupon: Json, promotion: Json | None, owner: Json, currency: str, param: str) -> str:
    """Redeem the coupon into a new discount for the owner, and return its id."""
    if not is_valid(work, coupon):
        raise invalid(f"Coupon expired: {coupon['id']}", param=param, code="coupon_expired")
    if coupon["currency"] not in (None, currency):
        text = f"The coupon takes off an amount in {coupon['currency']}, and this is billed in {currency}."
        raise invalid(text, param=param)
    discount = build_discount(work, coupon, promotion["id"] if promotion else None, owner)
    for redeemed in filter(None, (coupon, promotion)):
        work.keep(redeemed | {"times_redeemed": redeemed["times_redeemed"] + 1})
    work.keep(discount)
    work.note("terms", discount["id"], coupon)
    return str(discount["id"])


def give_to_customer(work: Work, customer: str, given: object) -> Json:
    """Give a customer the discount of ``{"coupon": …}``, in place of any earlier one.

    Earlier API versions could do so, and such discounts still exist at Stripe
    (https://docs.stripe.com/changelog/basil/2025-03-31/deprecate-singular-coupon-promotion-code).
    """
    found = work.get("customer", customer)
    if not isinstance(given, dict) or given.keys() != {"coupon"}:
        raise invalid('The body must be {"coupon": id}.', param="coupon")
    coupon = work.get("coupon", str(given["coupon"]), param="coupon", status=400)
    currency = found["currency"] or coupon["currency"]
    old, new_id = found["discount"], attach(work, coupon, None, {"customer": customer}, currency, "coupon")
    new = work.get("discount", new_id)
    work.update(found, {"discount": new})
    if old:
        work.tell("customer.discount.updated", new, previous_attributes(old, new))
    else:
        work.tell("customer.discount.created", new)
    return new


def is_valid(work: Work, coupon: Json) -> bool:
    """Return whether the coupon can still be redeemed."""
    return not _used_up(coupon) and not _over(work, coupon["redeem_by"])


def is_active(work: Work, promotion: Json) -> bool:
    """Return whether the promotion code can still be redeemed, which needs a valid coupon too."""
    coupon = work.find("coupon", promotion["promotion"]["coupon"])
    usable = promotion["active"] and not _used_up(promotion) and not _over(work, promotion["expires_at"])
    return bool(usable and coupon and is_valid(work, coupon))


def _used_up(redeemable: Json) -> bool:
    most = redeemable["max_redemptions"]
    return most is not None and redeemable["times_redeemed"] >= most


def _over(work: Work, last: int | None) -> bool:
    return last is not None and work.now > last


def _check_promotion(work: Work, promotion: Json, customer: str, param: str) -> None:
    if not is_active(work, promotion):
        raise invalid("This promotion code is inactive or has expired.", param=param)
    if promotion["customer"] not in (None, customer):
        raise invalid("This promotion code belongs to another customer.", param=param)
    if promotion["restrictions"]["first_time_transaction"] and _has_paid(work, customer):
        raise invalid(_NOT_FIRST, param=param)


def _has_paid(work: Work, customer: str) -> bool:
    return any(charge["paid"] for charge in work.select("charge", customer))
