"""A quote's token buys exactly what it was made for, until it expires."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import jwt
import pytest
from stripe import Invoice

from gateway.auth import issue_development_token
from gateway.db.models import Subscription
from gateway.errors import GatewayError, InvalidRequest, NotFound, QuoteExpired, QuoteStale
from gateway.services.plan_table.derive import NEVER_ENROLLED
from gateway.services.quotes.preview import due_later, still_to_be_billed
from gateway.services.quotes.token import Terms, read_token, sign, signing_key
from gateway.services.runtime import Caller
from gateway.services.subscription.billing_state import Position
from tests.unit.support import DEVELOPMENT_SECRET, NOW, config

CONFIG = config()
EXPIRES = NOW + timedelta(minutes=15)
TERMS = Terms(
    organization_id="org_1",
    subscription_version="7-digest",
    price_id="price_1",
    plan="plus",
    quantity=3,
    proration_date=1_793_534_400,
    amount_due_now=0,
    prorated=12_345,
    currency="usd",
)
TOKEN = sign(CONFIG, TERMS, EXPIRES)
CALLER = Caller(organization_id="org_1", actor="user_1")


def position(trail: tuple[str, ...] = ("older", "digest")) -> Position:
    return Position(
        state=NEVER_ENROLLED,
        plan_version=7,
        subscription=Subscription(id="sub_1", trail=list(trail)),
        base_item={"id": "si_1"},
        card=None,
        owes=False,
        prices={},
    )


def test_a_token_says_what_was_signed() -> None:
    assert read_token(CONFIG, TOKEN, NOW) == TERMS


def test_it_is_good_until_the_second_it_expires_by_the_clock_that_is_passed_in() -> None:
    assert read_token(CONFIG, TOKEN, EXPIRES - timedelta(seconds=1)) == TERMS
    assert read_token(CONFIG, TOKEN, NOW - timedelta(days=10_000)) == TERMS
    for late in (EXPIRES, EXPIRES + timedelta(seconds=1), EXPIRES + timedelta(days=10_000)):
        with pytest.raises(QuoteExpired):
            read_token(CONFIG, TOKEN, late)


def test_another_deployments_token_is_not_ours() -> None:
    with pytest.raises(InvalidRequest):
        read_token(config(stripe_secret_key="sk_test_other"), TOKEN, NOW)


def test_every_process_derives_the_same_key_and_it_is_not_the_secret_itself() -> None:
    assert signing_key(config()) == signing_key(CONFIG)
    assert CONFIG.stripe_secret_key.encode() not in signing_key(CONFIG)


def test_one_changed_character_spoils_it() -> None:
    for place, letter in enumerate(TOKEN[:-1]):  # the last one carries bits that base64 leaves unused
        other = "A" if letter != "A" else "B"
        with pytest.raises(InvalidRequest):
            read_token(CONFIG, TOKEN[:place] + other + TOKEN[place + 1 :], NOW)


def forged(key: Any = None, algorithm: str = "HS256", **claims: Any) -> str:
    found: dict[str, Any] = {"aud": "quote", "exp": EXPIRES, "terms": vars(TERMS)} | claims
    given = {name: value for name, value in found.items() if value is not None}
    return jwt.encode(given, signing_key(CONFIG) if key is None else key, algorithm)


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
def test_what_we_did_not_sign_as_a_quote_is_refused(token: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_token(CONFIG, token, NOW)
    assert caught.value.members == {"errors": {"quote": ["Not valid."]}}


def test_the_helper_that_forges_makes_good_tokens_if_nothing_is_forged() -> None:
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
def test_a_token_of_a_release_with_other_terms_has_expired(terms: Any) -> None:
    with pytest.raises(QuoteExpired):
        read_token(CONFIG, forged(terms=terms), NOW)


def test_a_quote_that_fits_passes() -> None:
    TERMS.check(CALLER, position(), "price_1", "plus", 3)


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
        terms.check(CALLER, position(), "price_1", "plus", 3)


def test_a_quote_for_a_subscription_that_is_gone_is_stale() -> None:
    with pytest.raises(QuoteStale):
        TERMS.check(
            CALLER,
            replace(position(), subscription=None, base_item=None),
            "price_1",
            "plus",
            3,
        )


def line(item: str, amount: int, *, off: int = 0, on_top: int = 0, within: int = 0) -> dict[str, Any]:
    """A line of a preview, for an invoice item: what it costs, what is taken off, and its taxes."""
    taxes = [{"amount": on_top, "tax_behavior": "exclusive"}, {"amount": within, "tax_behavior": "inclusive"}]
    return {
        "amount": amount,
        "discount_amounts": [{"amount": off, "discount": "di_1"}] if off else None,
        "taxes": taxes,
        "parent": {"invoice_item_details": {"invoice_item": item}},
    }


def preview_of(*lines: dict[str, Any], total: int) -> Invoice:
    fields = {"lines": {"data": lines}, "total": total, "amount_due": max(0, total), "starting_balance": 0}
    return Invoice.construct_from(fields, "sk_test")


@pytest.mark.parametrize(
    ("extra", "more"),
    [({}, 0), ({"off": 60}, -60), ({"on_top": 24}, 24), ({"within": 20}, 0), ({"off": 60, "on_top": 12}, -48)],
)
def test_what_is_billed_at_once_is_not_due_later_with_its_discount_and_its_taxes_neither(
    extra: dict[str, int], more: int
) -> None:
    waits = line("ii_waits", 120, **extra)
    at_once = preview_of(waits, total=120 + more)
    later = preview_of(waits, line("ii_next", 25_000), total=25_000 + 120 + more)
    assert due_later(later, still_to_be_billed(later, at_once), at_once) == 25_000
