"""Coupons and promotion codes, and what they may be redeemed for."""

from typing import Any

import pytest
import stripe

from tests.support.clock import ManualClock
from tests.support.json_types import Json
from tests.support.stripe_account import StripeAccount


def subscribe(account: StripeAccount, customer: str, **discount: str) -> stripe.Subscription:
    return account.subscribe(customer, account.price(1000).id, discounts=[discount])


def code_of(account: StripeAccount, coupon: stripe.Coupon, **more: Any) -> stripe.PromotionCode:
    params: Any = {"promotion": {"type": "coupon", "coupon": coupon.id}}
    return account.v1.promotion_codes.create(params | more)


@pytest.fixture
def half(account: StripeAccount) -> stripe.Coupon:
    return account.v1.coupons.create({"percent_off": 50, "duration": "forever"})


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({}, "percent_off"),
        ({"percent_off": 10, "amount_off": 100}, "percent_off"),
        ({"percent_off": 0}, "percent_off"),
        ({"percent_off": 100.5}, "percent_off"),
        ({"percent_off": "ten"}, "percent_off"),
        ({"amount_off": 100}, "currency"),
        ({"amount_off": 0, "currency": "usd"}, "amount_off"),
        ({"percent_off": 10, "duration": "repeating"}, "duration_in_months"),
        ({"percent_off": 10, "duration_in_months": 3}, "duration_in_months"),
        ({"percent_off": 10, "applies_to": {"products": ["prod_x"]}}, "applies_to[products]"),
        ({"percent_off": 10, "currency_options": {"eur": {"amount_off": 5}}}, "currency_options[eur][amount_off]"),
    ],
)
def test_impossible_coupon_is_refused_by_name(account: StripeAccount, params: Json, param: str) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        account.v1.coupons.create(params)  # type: ignore[arg-type]  # wrong on purpose
    assert refused.value.param == param


def test_coupon_is_redeemed_as_often_as_allowed(account: StripeAccount, customer: str) -> None:
    coupon = account.v1.coupons.create({"percent_off": 10, "max_redemptions": 1})
    subscribe(account, customer, coupon=coupon.id)
    used = account.v1.coupons.retrieve(coupon.id)
    assert (used.times_redeemed, used.valid) == (1, False)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        subscribe(account, customer, coupon=coupon.id)
    assert (refused.value.code, refused.value.param) == ("coupon_expired", "discounts[0][coupon]")


def test_coupon_expires(account: StripeAccount, customer: str, clock: ManualClock) -> None:
    coupon = account.v1.coupons.create({"percent_off": 10, "redeem_by": int(clock.now) + 60})
    clock.now += 61
    assert account.v1.coupons.retrieve(coupon.id).valid is False
    with pytest.raises(stripe.InvalidRequestError, match="expired"):
        subscribe(account, customer, coupon=coupon.id)


def test_coupon_of_another_currency_is_refused(account: StripeAccount, customer: str) -> None:
    coupon = account.v1.coupons.create({"amount_off": 100, "currency": "eur"})
    with pytest.raises(stripe.InvalidRequestError, match="eur"):
        subscribe(account, customer, coupon=coupon.id)


def test_deleted_coupon_keeps_its_discounts(account: StripeAccount, customer: str, half: stripe.Coupon) -> None:
    subscription = subscribe(account, customer, coupon=half.id)
    account.v1.coupons.delete(half.id)
    with pytest.raises(stripe.InvalidRequestError, match="No such coupon"):
        subscribe(account, customer, coupon=half.id)
    assert account.v1.invoices.create_preview({"subscription": subscription.id}).total == 500


def test_promotion_code_redeems_its_coupon(account: StripeAccount, customer: str, half: stripe.Coupon) -> None:
    code = code_of(account, half, code="SPRING")
    subscription = subscribe(account, customer, promotion_code=code.id)
    assert account.invoice(subscription).total == 500
    discount = account.v1.subscriptions.retrieve(subscription.id, {"expand": ["discounts"]}).discounts[0]
    assert isinstance(discount, stripe.Discount)
    assert (discount.promotion_code, discount.source.coupon) == (code.id, half.id)
    assert account.v1.promotion_codes.retrieve(code.id).times_redeemed == 1
    assert account.v1.promotion_codes.list({"code": "spring"}).data[0].id == code.id


def test_two_active_codes_cannot_be_equal(account: StripeAccount, half: stripe.Coupon) -> None:
    first = code_of(account, half, code="SPRING")
    with pytest.raises(stripe.InvalidRequestError, match="already exists"):
        code_of(account, half, code="spring")
    account.v1.promotion_codes.update(first.id, {"active": False})
    assert code_of(account, half, code="spring").active


@pytest.mark.parametrize("why", ["inactive", "expired", "another customer", "second purchase", "used up"])
def test_unusable_promotion_code_is_refused(
    account: StripeAccount, customer: str, half: stripe.Coupon, clock: ManualClock, why: str
) -> None:
    more: dict[str, Json] = {
        "inactive": {"active": False},
        "expired": {"expires_at": int(clock.now) + 1},
        "another customer": {"customer": account.customer().id},
        "second purchase": {"restrictions": {"first_time_transaction": True}},
        "used up": {"max_redemptions": 1},
    }
    code = code_of(account, half, **more[why])
    if why in {"second purchase", "used up"}:
        subscribe(account, customer, promotion_code=code.id)
    clock.now += 2
    with pytest.raises(stripe.InvalidRequestError) as refused:
        subscribe(account, customer, promotion_code=code.id)
    assert refused.value.param == "discounts[0][promotion_code]"


@pytest.mark.parametrize("wanted", [{}, {"coupon": "x", "promotion_code": "y"}, {"discount": "di_x"}, {"coupon": "x"}])
def test_discount_needs_one_known_source(account: StripeAccount, customer: str, wanted: Json) -> None:
    with pytest.raises(stripe.InvalidRequestError):
        account.subscribe(customer, account.price(1000).id, discounts=[wanted or {"coupon": ""}])
