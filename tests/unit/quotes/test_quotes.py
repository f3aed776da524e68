"""A quote's token is valid only for its own terms, until it expires."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import jwt
import pytest
from stripe import Invoice

from gateway.auth import issue_development_token
from gateway.db.models import Subscription
from gateway.errors import GatewayError, InvalidRequest, NotFound, QuoteExpired, QuoteStale
from gateway.services.plan_table.derive import never_enrolled
from gateway.services.quotes.lines import (
    compute_next_amount_due,
    compute_next_total,
    select_credits,
    select_remaining_lines,
)
from gateway.services.quotes.token import Terms, derive_signing_key, read_token, sign_token
from gateway.services.runtime import Caller
from gateway.services.subscription.billing_state import BillingState
from gateway.services.subscription.terms import Contract
from tests.support.config import DEVELOPMENT_SECRET, NOW, config

CONFIG = config()
EXPIRES = NOW + timedelta(minutes=15)
TERMS = Terms(
    organization_id="org_1",
    subscription_version="7-digest",
    price_id="price_1",
    plan="plus",
    quantity=3,
    interval="",
    proration_date=1_793_534_400,
    amount_due_now=0,
    prorated=12_345,
    currency="usd",
)
TOKEN = sign_token(CONFIG, TERMS, EXPIRES)
CALLER = Caller(organization_id="org_1", actor="user_1")


def billing_state(trail: tuple[str, ...] = ("older", "digest")) -> BillingState:
    return BillingState(
        plan_state=never_enrolled("free"),
        plan_version=7,
        subscription=Subscription(id="sub_1", trail=list(trail)),
        duplicates={},
        base_item={"id": "si_1"},
        payment_method=None,
        unsettled_invoices=(),
        has_paid=False,
        prices={},
        contract=Contract(currency="usd", interval="month"),
    )


def test_a_token_carries_its_terms() -> None:
    assert read_token(CONFIG, TOKEN, NOW) == TERMS


def test_a_token_is_valid_until_the_second_it_expires() -> None:
    assert read_token(CONFIG, TOKEN, EXPIRES - timedelta(seconds=1)) == TERMS
    assert read_token(CONFIG, TOKEN, NOW - timedelta(days=10_000)) == TERMS
    for late in (EXPIRES, EXPIRES + timedelta(seconds=1), EXPIRES + timedelta(days=10_000)):
        with pytest.raises(QuoteExpired):
            read_token(CONFIG, TOKEN, late)


def test_another_deployments_token_is_refused() -> None:
    with pytest.raises(InvalidRequest):
        read_token(config(stripe_secret_key="sk_test_other"), TOKEN, NOW)


def test_all_processes_derive_the_same_key_from_the_secret() -> None:
    assert derive_signing_key(config()) == derive_signing_key(CONFIG)
    assert CONFIG.stripe_secret_key.encode() not in derive_signing_key(CONFIG)


def test_a_token_with_one_changed_character_is_refused() -> None:
    for place, letter in enumerate(TOKEN[:-1]):  # base64 leaves some bits of the last character unused
        other = "A" if letter != "A" else "B"
        with pytest.raises(InvalidRequest):
            read_token(CONFIG, TOKEN[:place] + other + TOKEN[place + 1 :], NOW)


def forged(key: Any = None, algorithm: str = "HS256", **claims: Any) -> str:
    found: dict[str, Any] = {"aud": "quote", "exp": EXPIRES, "terms": vars(TERMS)} | claims
    given = {name: value for name, value in found.items() if value is not None}
    return jwt.encode(given, derive_signing_key(CONFIG) if key is None else key, algorithm)


@pytest.mark.parametrize(
    "token",
    [
        "",
        "x",
        "a.b.c",
        TOKEN.rsplit(".", 1)[0] + ".",
        forged("another key of at least 32 bytes, surely"),
        forged("", "none"),
        forged(aud="konnect-billing"),
        forged(aud=None),
        forged(exp=None),
        issue_development_token(CONFIG, "org_1", NOW),
        jwt.encode({"aud": "quote", "exp": EXPIRES, "terms": vars(TERMS)}, DEVELOPMENT_SECRET, "HS256"),
    ],
)
def test_a_token_not_signed_as_a_quote_is_refused(token: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_token(CONFIG, token, NOW)
    assert caught.value.members == {"errors": {"quote": ["Not valid."]}}


def test_an_unchanged_forged_token_is_valid() -> None:
    assert read_token(CONFIG, forged(), NOW) == TERMS


@pytest.mark.parametrize(
    "terms",
    [
        {"plan": "plus"},
        vars(TERMS) | {"coupon": "autumn"},
        vars(TERMS) | {"quantity": "3"},
        vars(TERMS) | {"prorated": None},
        {},
        "other terms",
        None,
    ],
)
def test_a_token_with_another_releases_terms_has_expired(terms: Any) -> None:
    with pytest.raises(QuoteExpired):
        read_token(CONFIG, forged(terms=terms), NOW)


def test_a_matching_quote_passes() -> None:
    TERMS.check(CALLER, billing_state(), "price_1", "plus", 3)


@pytest.mark.parametrize(
    ("terms", "error"),
    [
        (replace(TERMS, organization_id="org_2"), NotFound),
        (replace(TERMS, plan="free"), QuoteStale),
        (replace(TERMS, quantity=4), QuoteStale),
        (replace(TERMS, subscription_version="7-older"), QuoteStale),
        (replace(TERMS, subscription_version="6-digest"), QuoteStale),
        (replace(TERMS, price_id="price_2"), QuoteStale),
    ],
)
def test_a_quote_for_anything_else_is_refused(terms: Terms, error: type[GatewayError]) -> None:
    with pytest.raises(error):
        terms.check(CALLER, billing_state(), "price_1", "plus", 3)


def test_a_quote_for_a_missing_subscription_is_stale() -> None:
    with pytest.raises(QuoteStale):
        TERMS.check(
            CALLER,
            replace(billing_state(), subscription=None, base_item=None),
            "price_1",
            "plus",
            3,
        )


def line(
    item: str,
    amount: int,
    *,
    discount: int = 0,
    exclusive: int = 0,
    inclusive: int = 0,
    parent: str = "invoice_item_details",
) -> dict[str, Any]:
    """Return a preview line for an invoice item, with its amount, discount and taxes."""
    taxes = [{"amount": exclusive, "tax_behavior": "exclusive"}, {"amount": inclusive, "tax_behavior": "inclusive"}]
    return {
        "amount": amount,
        "discount_amounts": [{"amount": discount, "discount": "di_1"}] if discount else None,
        "taxes": taxes,
        "parent": {"type": parent, parent: {"invoice_item": item}},
    }


def preview_of(*lines: dict[str, Any], total: int) -> Invoice:
    fields = {"lines": {"data": lines}, "total": total, "amount_due": max(0, total), "starting_balance": 0}
    return Invoice.construct_from(fields, "sk_test")


@pytest.mark.parametrize(
    ("extra", "more"),
    [
        ({}, 0),
        ({"parent": "subscription_item_details"}, 0),  # a pending proration
        ({"discount": 60}, -60),
        ({"exclusive": 24}, 24),
        ({"inclusive": 20}, 0),
        ({"discount": 60, "exclusive": 12}, -48),
    ],
)
def test_items_billed_immediately_are_not_due_later(extra: dict[str, Any], more: int) -> None:
    waits = line("ii_waits", 120, **extra)
    immediate = preview_of(waits, total=120 + more)
    later = preview_of(waits, line("ii_next", 25_000), total=25_000 + 120 + more)
    total = compute_next_total(later, select_remaining_lines(later, immediate), 0)
    assert (total, compute_next_amount_due(later, total, immediate)) == (25_000, 25_000)


def test_only_billed_time_is_credited() -> None:
    def proration(line_id: str, amount: int, credited: str | None = None) -> dict[str, Any]:
        named = {"invoice": "in_1", "invoice_line_items": [credited]} if credited else None
        details = {"proration_details": {"credited_items": named}}
        parent = {"type": "subscription_item_details", "subscription_item_details": details}
        return {"id": line_id, "amount": amount, "parent": parent}

    waits, debit = proration("il_waits", 300), proration("il_debit", 50)
    takes_back, credit = proration("il_takes_back", -250, "il_waits"), proration("il_credit", -100, "il_billed")
    of_cancellation = proration("il_canceled", -70) | {"parent": {"type": "invoice_item_details"}}
    made = [takes_back, credit, debit, of_cancellation]
    assert select_credits(made, [waits, *made]) == [credit, of_cancellation]
