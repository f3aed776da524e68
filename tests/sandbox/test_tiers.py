"""The price of a quantity with tiers and with fractions of a cent."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
import stripe
from hypothesis import given
from hypothesis import strategies as st

from gateway.sandbox import pricing
from gateway.sandbox.proration import nearest
from tests.support.clock import MONTH, ManualClock
from tests.support.json_types import Json
from tests.support.shapes import differences
from tests.support.stripe_account import StripeAccount, plain

TIERS: list[Json] = [
    {"up_to": 5, "unit_amount": 700},
    {"up_to": 10, "unit_amount": 650},
    {"up_to": "inf", "unit_amount": 600},
]
WITH_FEES: list[Json] = [
    {"up_to": 10, "flat_amount": 900},
    {"up_to": "inf", "unit_amount_decimal": "3.6", "flat_amount": 0},
]


def price_of(mode: str | None, currency: str = "usd", unit: str | None = None) -> Json:
    return {"tiers_mode": mode, "currency": currency, "unit_amount_decimal": unit}


def tier(up_to: int | None, unit: Decimal | None, flat: int | None) -> Json:
    return {
        "up_to": up_to,
        "unit_amount_decimal": None if unit is None else str(unit),
        "flat_amount_decimal": None if flat is None else str(flat),
    }


@st.composite
def tier_lists(draw: st.DrawFn) -> list[Json]:
    ends = sorted(draw(st.sets(st.integers(1, 40), max_size=4)))
    units = st.decimals(0, 1000, places=3)
    return [tier(end, draw(units), draw(st.none() | st.integers(0, 5000))) for end in [*ends, None]]


@given(tiers=tier_lists(), quantity=st.integers(0, 60))
def test_graduated_amount_is_the_sum_of_its_units(tiers: list[Json], quantity: int) -> None:
    parts = pricing.charge(price_of("graduated"), tiers, Decimal(quantity))

    def tier_of_unit(unit: int) -> Json:
        return next(row for row in tiers if row["up_to"] is None or unit <= row["up_to"])

    exact = sum((Fraction(tier_of_unit(unit)["unit_amount_decimal"]) for unit in range(1, quantity + 1)), Fraction(0))
    counted = sum((Fraction(part.quantity) * Fraction(part.unit_amount) for part in parts), Fraction(0))
    fees = sum(part.amount for part in parts if part.flat)
    used = tiers[: tiers.index(tier_of_unit(max(quantity, 1))) + 1]
    assert counted == exact
    assert sum(part.quantity for part in parts) == quantity
    assert fees == sum(int(row["flat_amount_decimal"] or 0) for row in used)
    assert all(
        part.amount == nearest(Fraction(part.quantity) * Fraction(part.unit_amount)) for part in parts if not part.flat
    )


@given(tiers=tier_lists(), quantity=st.integers(0, 60))
def test_volume_charges_all_units_at_the_last_units_tier(tiers: list[Json], quantity: int) -> None:
    units, *fee = pricing.charge(price_of("volume"), tiers, Decimal(quantity))
    found = tiers[(units.tier or 0) - 1]
    below = [row["up_to"] for row in tiers if row["up_to"] is not None and row["up_to"] < quantity]
    assert len(below) == (units.tier or 0) - 1
    assert (int(units.quantity), units.unit_amount) == (quantity, Decimal(found["unit_amount_decimal"]))
    assert [part.amount for part in fee] == (
        [] if found["flat_amount_decimal"] is None else [int(found["flat_amount_decimal"])]
    )


@given(tiers=tier_lists(), quantity=st.integers(0, 60), more=st.integers(1, 20))
def test_graduated_amount_never_falls_with_more_units(tiers: list[Json], quantity: int, more: int) -> None:
    less = pricing.total(pricing.charge(price_of("graduated"), tiers, Decimal(quantity)))
    greater = pricing.total(pricing.charge(price_of("graduated"), tiers, Decimal(quantity + more)))
    assert greater >= less


@given(unit=st.decimals(0, 1000, places=6), quantity=st.integers(0, 10_000))
def test_price_per_unit_is_rounded_once(unit: Decimal, quantity: int) -> None:
    (part,) = pricing.charge(price_of(None, unit=str(unit)), [], Decimal(quantity))
    assert abs(Fraction(part.amount) - Fraction(unit) * quantity) <= Fraction(1, 2)


def test_amount_in_dinars_is_a_multiple_of_ten() -> None:
    (part,) = pricing.charge(price_of(None, "kwd", "7"), [], Decimal(7))
    assert part.amount == 50


def tiered(account: StripeAccount, mode: str, tiers: list[Json], **more: Any) -> stripe.Price:
    return account.price(0, unit_amount=None, billing_scheme="tiered", tiers_mode=mode, tiers=tiers, **more)


class TestPrices:
    def test_tiers_are_shown_only_when_expanded(self, account: StripeAccount) -> None:
        price = tiered(account, "graduated", WITH_FEES)
        assert "tiers" not in plain(price)
        assert (price.billing_scheme, price.tiers_mode) == ("tiered", "graduated")
        assert (price.unit_amount, price.unit_amount_decimal) == (None, None)
        expanded = plain(account.v1.prices.retrieve(price.id, {"expand": ["tiers"]}))
        assert list(differences(expanded, stripe.Price)) == []
        assert expanded["tiers"] == [
            {
                "flat_amount": 900,
                "flat_amount_decimal": "900",
                "unit_amount": None,
                "unit_amount_decimal": None,
                "up_to": 10,
            },
            {
                "flat_amount": 0,
                "flat_amount_decimal": "0",
                "unit_amount": None,
                "unit_amount_decimal": "3.6",
                "up_to": None,
            },
        ]
        subscription = account.subscribe(account.customer().id, price.id, expand=["items.data.price.tiers"])
        assert plain(subscription)["items"]["data"][0]["price"]["tiers"] == expanded["tiers"]
        assert "tiers" not in plain(account.v1.subscriptions.retrieve(subscription.id))["items"]["data"][0]["price"]

    @pytest.mark.parametrize(
        ("given", "whole", "exact"),
        [("12", 12, "12"), ("12.500", None, "12.5"), ("0.000000000001", None, "0.000000000001"), ("7.0", 7, "7")],
    )
    def test_fraction_of_a_cent_has_no_whole_amount(
        self, account: StripeAccount, given: str, whole: int | None, exact: str
    ) -> None:
        price = account.price(0, unit_amount=None, unit_amount_decimal=given)
        assert (price.unit_amount, price.unit_amount_decimal) == (whole, Decimal(exact))

    @pytest.mark.parametrize(
        "change",
        [
            {"tiers": TIERS[:2]},
            {"tiers": [TIERS[1], TIERS[0], TIERS[2]]},
            {"tiers": [TIERS[2], TIERS[2]]},
            {"tiers": [{"up_to": "inf"}]},
            {"tiers": [{"up_to": "inf", "unit_amount": 1, "unit_amount_decimal": "1"}]},
            {"tiers": [{"up_to": "inf", "unit_amount": -1}]},
            {"tiers": [{"up_to": "inf", "flat_amount": -1}]},
            {"tiers": None},
            {"tiers_mode": None},
            {"unit_amount": 100},
            {"billing_scheme": "per_unit"},
            {"billing_scheme": None, "tiers": None},
            {"billing_scheme": None, "tiers": None, "tiers_mode": None, "unit_amount_decimal": "1.0000000000001"},
            {"billing_scheme": None, "tiers": None, "tiers_mode": None, "unit_amount_decimal": "-1"},
            {"billing_scheme": None, "tiers": None, "tiers_mode": None, "unit_amount_decimal": "1", "unit_amount": 1},
            {"transform_quantity": {"divide_by": 10, "round": "up"}},
        ],
        ids=str,
    )
    def test_invalid_tiers_are_refused(self, account: StripeAccount, change: Json) -> None:
        params: Json = {"unit_amount": None, "billing_scheme": "tiered", "tiers_mode": "volume", "tiers": TIERS}
        with pytest.raises(stripe.InvalidRequestError):
            account.price(0, **params | change)


def billed(invoice: stripe.Invoice) -> list[tuple[str | None, int | None, int]]:
    return [(line.description, line.quantity, line.amount) for line in invoice.lines.data]


class TestLicensed:
    def test_graduated_price_has_a_line_for_each_used_tier(self, account: StripeAccount) -> None:
        price = tiered(account, "graduated", TIERS)
        subscription = account.subscribe(account.customer().id, price.id, 7)
        assert billed(account.invoice(subscription)) == [
            ("5 × Plus (Tier 1 at $7.00 / month)", 5, 3500),  # noqa: RUF001 - Stripe's own sign
            ("2 × Plus (Tier 2 at $6.50 / month)", 2, 1300),  # noqa: RUF001 - Stripe's own sign
        ]

    def test_volume_price_has_one_line(self, account: StripeAccount) -> None:
        subscription = account.subscribe(account.customer().id, tiered(account, "volume", TIERS).id, 7)
        line = ("7 × Plus (Tier 2 at $6.50 / month)", 7, 4550)  # noqa: RUF001 - Stripe's own sign
        assert billed(account.invoice(subscription)) == [line]

    def test_flat_amount_of_a_tier_has_its_own_line(self, account: StripeAccount) -> None:
        subscription = account.subscribe(account.customer().id, tiered(account, "graduated", WITH_FEES).id, 41)
        assert billed(account.invoice(subscription)) == [
            ("10 × Plus (Tier 1 at $0.00 / month)", 10, 0),  # noqa: RUF001 - Stripe's own sign
            ("Plus (Tier 1 at $9.00 / month)", 0, 900),
            ("31 × Plus (Tier 2 at $0.036 / month)", 31, 112),  # noqa: RUF001 - Stripe's own sign
            ("Plus (Tier 2 at $0.00 / month)", 0, 0),
        ]

    def test_line_contains_the_products_unit_label(self, account: StripeAccount) -> None:
        product = account.v1.products.create({"name": "Team", "unit_label": "seat"})
        price = account.price(1800, product=product.id)
        subscription = account.subscribe(account.customer().id, price.id, 2)
        assert billed(account.invoice(subscription))[0][0] == "2 seat × Team (at $18.00 / month)"  # noqa: RUF001 - Stripe's own sign

    def test_change_credits_the_billed_amount_of_each_tier(self, account: StripeAccount, clock: ManualClock) -> None:
        customer = account.customer()
        subscription = account.subscribe(customer.id, tiered(account, "graduated", TIERS).id, 7)
        clock.now += MONTH // 2
        account.v1.subscriptions.update(
            subscription.id, {"items": [{"id": subscription.items.data[0].id, "quantity": 12}]}
        )
        assert [(row.amount, row.quantity) for row in account.pending(customer.id)] == [
            (-1750, 5),
            (-650, 2),
            (1750, 5),
            (1625, 5),
            (600, 2),
        ]

    def test_fraction_of_a_cent_is_rounded_once_per_line(self, account: StripeAccount) -> None:
        price = account.price(0, unit_amount=None, unit_amount_decimal="33.3")
        subscription = account.subscribe(account.customer().id, price.id, 5)
        line = ("5 × Plus (at $0.333 / month)", 5, 166)  # noqa: RUF001 - Stripe's own sign
        assert billed(account.invoice(subscription)) == [line]
        assert plain(account.invoice(subscription))["lines"]["data"][0]["pricing"]["unit_amount_decimal"] == "33.3"
