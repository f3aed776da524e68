"""Builders of payment methods from Stripe's test cards and test accounts, and of Link.

https://docs.stripe.com/api/payment_methods/object
"""

from gateway.sandbox.json_types import Json
from gateway.sandbox.objects import bank_accounts
from gateway.sandbox.objects.bank_accounts import TestAccount
from gateway.sandbox.objects.customer import address
from gateway.sandbox.objects.special_cards import BY_FACE, INCORRECT_CVC, Decline, TestCard
from gateway.sandbox.work import Work

TYPES = ("card", "link", "sepa_debit", "us_bank_account")
"""The types of payment methods that the sandbox has."""
EXPIRY = (12, 2034)
"""The expiry month and year of a card made from a test token."""
_DISPLAY_BRANDS = {"amex": "american_express", "diners": "diners_club", "unionpay": "union_pay"}


def card_of(payment_method: Json) -> TestCard | None:
    """Return the test card that the payment method was made from, or None if it is no card."""
    card = payment_method.get("card")
    return BY_FACE[card["brand"], card["last4"]] if card else None


def decline_of(payment_method: Json) -> Decline | None:
    """Return the decline with which the bank answers a charge, or None if the card pays.

    The bank cannot find a security code incorrect if the card was given without one. A bank account is not declined
    here, because its bank answers days later.
    """
    card = card_of(payment_method)
    if card is None:
        return None
    decline = card.decline
    unchecked = payment_method["card"]["checks"]["cvc_check"] is None
    return None if decline is INCORRECT_CVC and unchecked else decline


def build(work: Work, card: TestCard, params: Json, *, expiry: tuple[int, int] = EXPIRY, has_cvc: bool = True) -> Json:
    """Return a card that belongs to no customer yet. ``params`` may hold ``billing_details`` and ``metadata``."""
    return _build(work, "card", _card(card, expiry, has_cvc=has_cvc), params)


def build_account(work: Work, account: TestAccount, params: Json) -> Json:
    """Return a bank account that belongs to no customer yet. It counts as verified."""
    return _build(work, account.kind, bank_accounts.details(account, params.get(account.kind) or {}), params)


def build_link(work: Work, params: Json) -> Json:
    """Return a Link payment method, which pays like a card that is never declined."""
    email = (params.get("billing_details") or {}).get("email")
    return _build(work, "link", {"email": email, "persistent_token": None}, params)  # nosec B105 - no password, but a field that is null


def last4_of(payment_method: Json) -> str | None:
    """Return the last four characters of the card or bank account, or None for Link."""
    found: str | None = payment_method[payment_method["type"]].get("last4")
    return found


def _build(work: Work, kind: str, shown: Json, params: Json) -> Json:
    given = dict(params.get("billing_details") or {})
    if "address" in given:
        given["address"] = address(given["address"])
    details = {"address": address({}), "email": None, "name": None, "phone": None, "tax_id": None}
    return {
        "id": work.ids.new("pm"),
        "object": "payment_method",
        "allow_redisplay": params.get("allow_redisplay", "unspecified"),
        "billing_details": details | given,
        kind: shown,
        "created": work.now,
        "customer": None,
        "customer_account": None,
        "livemode": False,
        "metadata": params.get("metadata") or {},
        "type": kind,
    }


def _card(card: TestCard, expiry: tuple[int, int], *, has_cvc: bool) -> Json:
    checks = {"address_line1_check": None, "address_postal_code_check": None}
    return {
        "brand": card.brand,
        "checks": checks | {"cvc_check": "pass" if has_cvc else None},
        "country": "US",
        "display_brand": _DISPLAY_BRANDS.get(card.brand, card.brand),
        "exp_month": expiry[0],
        "exp_year": expiry[1],
        "fingerprint": f"sandbox{card.brand}{card.last4}",
        "funding": card.funding,
        "generated_from": None,
        "last4": card.last4,
        "networks": {"available": [card.brand], "preferred": None},
        "regulated_status": "unregulated",
        "three_d_secure_usage": {"supported": card.brand != "amex"},
        "wallet": None,
    }
