"""Stripe's documented test cards that matter for subscriptions (https://docs.stripe.com/testing).

That page documents each card's code and decline code. ``advice_code`` and ``network_decline_code`` of the generic
decline were recorded from Stripe's API (2026-08-26.dahlia). The other advice codes follow Stripe's page on decline
codes (https://docs.stripe.com/declines/codes).
"""

from dataclasses import dataclass
from enum import Enum, auto

from gateway.sandbox.json_types import Json

_LATER, _NEVER, _CHECK = "try_again_later", "do_not_try_again", "confirm_card_data"


class ThreeDSecure(Enum):
    """When the bank requires the holder to approve (https://docs.stripe.com/testing#regulatory-cards)."""

    NOT_REQUIRED = auto()
    ALWAYS = auto()
    UNTIL_SET_UP = auto()
    """Off-session payments need no approval after a setup intent or an approved payment has succeeded."""
    ON_SESSION = auto()
    """The card counts as already set up. Only payments made in the holder's presence need approval."""


@dataclass(frozen=True)
class Decline:
    """The reason for which a bank declines a card."""

    code: str
    message: str
    decline_code: str | None = None
    advice_code: str | None = None
    network_decline_code: str | None = None

    def error(self) -> Json:
        """Return the fields of Stripe's card error. A response and an intent's last error share them."""
        fields = {
            "advice_code": self.advice_code,
            "code": self.code,
            "decline_code": self.decline_code,
            "doc_url": f"https://stripe.com/docs/error-codes/{self.code.replace('_', '-')}",
            "message": self.message,
            "network_decline_code": self.network_decline_code,
            "type": "card_error",
        }
        return {name: value for name, value in fields.items() if value is not None}


@dataclass(frozen=True)
class TestCard:
    """A test card with its number, its behaviour and the suffixes of its ``pm_card_…`` and ``tok_…`` tokens."""

    number: str
    tokens: str
    brand: str = "visa"
    funding: str = "credit"
    decline: Decline | None = None
    attaches: bool = True
    three_d_secure: ThreeDSecure = ThreeDSecure.NOT_REQUIRED
    dispute: str | None = None
    """The reason for which the holder disputes each charge, or None."""

    @property
    def last4(self) -> str:
        """Return the last four digits, the part of the number that Stripe shows."""
        return self.number[-4:]


GENERIC = Decline("card_declined", "Your card was declined.", "generic_decline", _LATER, "01")
_FUNDS = Decline("card_declined", "Your card has insufficient funds.", "insufficient_funds", _LATER)
_LOST = Decline("card_declined", "Your card was declined.", "lost_card", _NEVER)
_STOLEN = Decline("card_declined", "Your card was declined.", "stolen_card", _NEVER)
_FRAUD = Decline("card_declined", "Your card was declined.", "fraudulent", _NEVER)
_OFTEN = Decline(
    "card_declined",
    "Your card was declined for making repeated attempts too frequently or exceeding its amount limit.",
    "card_velocity_exceeded",
    _LATER,
)
_EXPIRED = Decline("expired_card", "Your card has expired.", None, _CHECK)
INCORRECT_CVC = Decline("incorrect_cvc", "Your card's security code is incorrect.", None, _CHECK)
_PROCESSING = Decline(
    "processing_error", "An error occurred while processing your card. Try again in a little bit.", None, _LATER
)
_ALWAYS, _UNTIL_SET_UP, _ON_SESSION = ThreeDSecure.ALWAYS, ThreeDSecure.UNTIL_SET_UP, ThreeDSecure.ON_SESSION

# fmt: off
CARDS = (
    # Charges succeed.
    TestCard("4242424242424242", "visa us"),
    TestCard("4000056655665556", "visa_debit", funding="debit"),
    TestCard("5555555555554444", "mastercard", "mastercard"),
    TestCard("2223003122003222", "", "mastercard"),
    TestCard("5200828282828210", "mastercard_debit", "mastercard", "debit"),
    TestCard("5105105105105100", "mastercard_prepaid", "mastercard", "prepaid"),
    TestCard("371449635398431", "amex", "amex"),
    TestCard("378282246310005", "amex_threeDSecureNotSupported", "amex"),
    TestCard("6011000990139424", "discover", "discover"),
    TestCard("6011111111111117", "", "discover"),
    TestCard("6011981111111113", "", "discover", "debit"),
    TestCard("3056930009020004", "diners", "diners"),
    TestCard("36227206271667", "", "diners"),
    TestCard("3566002020360505", "jcb", "jcb"),
    TestCard("6200000000000005", "unionpay", "unionpay"),
    TestCard("4000000000003055", "threeDSecureOptional"),
    # Charges are declined, and Stripe refuses to attach the card.
    TestCard("4000000000000002", "visa_chargeDeclined chargeDeclined", decline=GENERIC, attaches=False),
    TestCard("4000000000009995", "visa_chargeDeclinedInsufficientFunds chargeDeclinedInsufficientFunds",
             decline=_FUNDS, attaches=False),
    TestCard("4000000000009987", "visa_chargeDeclinedLostCard", decline=_LOST, attaches=False),
    TestCard("4000000000009979", "visa_chargeDeclinedStolenCard", decline=_STOLEN, attaches=False),
    TestCard("4100000000000019", "radarBlock visa_chargeDeclinedFraudulent chargeDeclinedFraudulent",
             decline=_FRAUD, attaches=False),
    TestCard("4000000000000069", "chargeDeclinedExpiredCard visa_chargeDeclinedExpiredCard",
             decline=_EXPIRED, attaches=False),
    TestCard("4000000000000127", "chargeDeclinedIncorrectCvc visa_chargeDeclinedIncorrectCvc",
             decline=INCORRECT_CVC, attaches=False),
    TestCard("4000000000000119", "chargeDeclinedProcessingError visa_chargeDeclinedProcessingError",
             decline=_PROCESSING, attaches=False),
    TestCard("4000000000006975", "visa_chargeDeclinedVelocityLimitExceeded", decline=_OFTEN, attaches=False),
    # Stripe attaches the card, but every charge is declined.
    TestCard("4000000000000341", "chargeCustomerFail visa_chargeCustomerFail", decline=GENERIC),
    # Charges succeed, and the holder disputes them.
    TestCard("4000000000000259", "createDispute", dispute="fraudulent"),
    TestCard("4000000000002685", "createDisputeProductNotReceived", dispute="product_not_received"),
    # The holder must approve.
    TestCard("4000002760003184", "authenticationRequired", three_d_secure=_ALWAYS),
    TestCard("4000002500003155", "authenticationRequiredOnSetup", three_d_secure=_UNTIL_SET_UP),
    TestCard("4000003800000446", "authenticationRequiredSetupForOffSession", three_d_secure=_ON_SESSION),
    TestCard("4000000000003220", "threeDSecure2Required", three_d_secure=_ALWAYS),
    TestCard("4000008260003178", "authenticationRequiredChargeDeclinedInsufficientFunds",
             decline=_FUNDS, three_d_secure=_ALWAYS),
    TestCard("4000008400001629", "threeDSecureRequiredChargeDeclined", decline=GENERIC, three_d_secure=_ALWAYS),
)
# fmt: on

BY_NUMBER = {card.number: card for card in CARDS}
BY_PAYMENT_METHOD = {f"pm_card_{name}": card for card in CARDS for name in card.tokens.split()}
BY_TOKEN = {f"tok_{name}": card for card in CARDS for name in card.tokens.split()}
BY_FACE = {(card.brand, card.last4): card for card in CARDS}
"""A payment method shows only the brand and the last four digits, and they identify the card."""
