"""Builder of payment methods, which are all test cards (https://docs.stripe.com/api/payment_methods/object)."""

from gateway.sandbox.json_types import Json
from gateway.sandbox.objects.customer import address
from gateway.sandbox.objects.special_cards import BY_FACE, INCORRECT_CVC, Decline, TestCard
from gateway.sandbox.work import Work

EXPIRY = (12, 2034)
"""The expiry month and year of a card made from a test token."""
_DISPLAY_BRANDS = {"amex": "american_express", "diners": "diners_club", "unionpay": "union_pay"}


def card_of(payment_method: Json) -> TestCard:
    """Return the test card that the payment method was made from."""
    return BY_FACE[payment_method["card"]["brand"], payment_method["card"]["last4"]]


def decline_of(payment_method: Json) -> Decline | None:
    """Return the decline with which the bank answers a charge, or None if the card pays.

    The bank cannot find a security code incorrect if the card was given without one.
    """
    decline = card_of(payment_method).decline
    unchecked = payment_method["card"]["checks"]["cvc_check"] is None
    return None if decline is INCORRECT_CVC and unchecked else decline


def build(work: Work, card: TestCard, params: Json, *, expiry: tuple[int, int] = EXPIRY, has_cvc: bool = True) -> Json:
    """Return a card that belongs to no customer yet. ``params`` may hold ``billing_details`` and ``metadata``."""
    given = dict(params.get("billing_details") or {})
    if "address" in given:
        given["address"] = address(given["address"])
    details = {"address": address({}), "email": None, "name": None, "phone": None, "tax_id": None}
    return {
        "id": work.ids.new("pm"),
        "object": "payment_method",
        "allow_redisplay": params.get("allow_redisplay", "unspecified"),
        "billing_details": details | given,
        "card": _card(card, expiry, has_cvc=has_cvc),
        "created": work.now,
        "customer": None,
        "customer_account": None,
        "livemode": False,
        "metadata": params.get("metadata") or {},
        "type": "card",
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
