"""https://docs.stripe.com/api/payment_methods/object, and Stripe's test cards (https://docs.stripe.com/testing)."""

from dataclasses import dataclass
from enum import Enum, auto

from gateway.sandbox.json_types import Json
from gateway.sandbox.objects.customer import address
from gateway.sandbox.work import Work


class Behavior(Enum):
    """What happens when a card is charged."""

    PAYS = auto()
    DECLINES = auto()
    NEEDS_ACTION = auto()


@dataclass(frozen=True)
class TestCard:
    """One of Stripe's test cards. The last four digits tell them apart, as they do at Stripe."""

    last4: str
    brand: str = "visa"
    attaches: bool = True
    charged: Behavior = Behavior.PAYS
    decline_code: str = "generic_decline"


TEST_CARDS = {
    "pm_card_visa": TestCard("4242"),
    "pm_card_visa_debit": TestCard("5556"),
    "pm_card_us": TestCard("4242"),
    "pm_card_mastercard": TestCard("4444", "mastercard"),
    "pm_card_amex": TestCard("8431", "amex"),
    "pm_card_discover": TestCard("9424", "discover"),
    "pm_card_chargeCustomerFail": TestCard("0341", charged=Behavior.DECLINES),
    "pm_card_visa_chargeDeclined": TestCard("0002", attaches=False),
    "pm_card_chargeDeclined": TestCard("0002", attaches=False),
    "pm_card_visa_chargeDeclinedInsufficientFunds": TestCard("9995", attaches=False, decline_code="insufficient_funds"),
    "pm_card_chargeDeclinedInsufficientFunds": TestCard("9995", attaches=False, decline_code="insufficient_funds"),
    "pm_card_visa_chargeDeclinedLostCard": TestCard("9987", attaches=False, decline_code="lost_card"),
    "pm_card_visa_chargeDeclinedStolenCard": TestCard("9979", attaches=False, decline_code="stolen_card"),
    "pm_card_authenticationRequired": TestCard("3184", charged=Behavior.NEEDS_ACTION),
    "pm_card_threeDSecure2Required": TestCard("3220", charged=Behavior.NEEDS_ACTION),
    "pm_card_authenticationRequiredOnSetup": TestCard("3155"),
    "pm_card_authenticationRequiredSetupForOffSession": TestCard("0446"),
}
_BY_LAST4 = {card.last4: card for card in TEST_CARDS.values()}


def card_of(payment_method: Json) -> TestCard:
    """The test card that a payment method was made from."""
    return _BY_LAST4[payment_method["card"]["last4"]]


def build(work: Work, card: TestCard, customer: str | None, billing_details: Json | None = None) -> Json:
    """A card, as one of Stripe's test tokens makes it."""
    given = dict(billing_details or {})
    if "address" in given:
        given["address"] = address(given["address"])
    details = {"address": address({}), "email": None, "name": None, "phone": None, "tax_id": None}
    return {
        "id": work.ids.new("pm"),
        "object": "payment_method",
        "allow_redisplay": "unspecified",
        "billing_details": details | given,
        "card": {
            "brand": card.brand,
            "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "pass"},
            "country": "US",
            "display_brand": card.brand,
            "exp_month": 12,
            "exp_year": 2034,
            "fingerprint": f"sandbox{card.brand}{card.last4}",
            "funding": "credit",
            "generated_from": None,
            "last4": card.last4,
            "networks": {"available": [card.brand], "preferred": None},
            "regulated_status": "unregulated",
            "three_d_secure_usage": {"supported": True},
            "wallet": None,
        },
        "created": work.now,
        "customer": customer,
        "customer_account": None,
        "livemode": False,
        "metadata": {},
        "type": "card",
    }
