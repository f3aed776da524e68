"""Checks of a card number that Stripe makes before it asks the bank (https://docs.stripe.com/testing#invalid-data)."""

from datetime import UTC, datetime

from gateway.sandbox.errors import StripeError, required
from gateway.sandbox.json_types import Json
from gateway.sandbox.objects import payment_method
from gateway.sandbox.objects.special_cards import BY_NUMBER
from gateway.sandbox.work import Work

_CENTURY = 2000
_MONTHS = 12
_LIVE_CARD = (
    "Your card was declined. Your request was in test mode, but used a non test (live) card. For a list of valid test "
    "cards, visit: https://stripe.com/docs/testing."
)


def build(work: Work, given: Json, params: Json) -> Json:
    """Return the card of ``card[number]``, ``[exp_month]``, ``[exp_year]`` and ``[cvc]``.

    Raise a 402 if Stripe would refuse one of them.
    """
    for name in ("number", "exp_month", "exp_year"):
        if name not in given:
            raise required(f"card[{name}]")
    number = given["number"].replace(" ", "").replace("-", "")
    if not _passes_luhn(number):
        raise _refused("incorrect_number", "Your card number is incorrect.", "number")
    if number not in BY_NUMBER:
        raise StripeError(402, "card_error", _LIVE_CARD, code="card_declined", decline_code="test_mode_live_card")
    card = BY_NUMBER[number]
    expiry = _expiry(work, given["exp_month"], given["exp_year"])
    cvc = given.get("cvc")
    if cvc is not None and not (cvc.isdecimal() and len(cvc) == (4 if card.brand == "amex" else 3)):
        raise _refused("invalid_cvc", "Your card's security code is invalid.", "cvc")
    return payment_method.build(work, card, params, expiry=expiry, has_cvc=cvc is not None)


def _passes_luhn(number: str) -> bool:
    """Return whether the check digit is right."""
    if not (number.isascii() and number.isdecimal()):
        return False
    digits = [int(digit) for digit in reversed(number)]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[1::2]]
    return (sum(digits[0::2]) + sum(doubled)) % 10 == 0


def _expiry(work: Work, month: int, year: int) -> tuple[int, int]:
    today = datetime.fromtimestamp(work.now, UTC)
    year = year + _CENTURY if 0 <= year < _CENTURY / 20 else year
    if not 1 <= month <= _MONTHS or (year == today.year and month < today.month):
        raise _refused("invalid_expiry_month", "Your card's expiration month is invalid.", "exp_month")
    if not today.year <= year <= today.year + 50:
        raise _refused("invalid_expiry_year", "Your card's expiration year is invalid.", "exp_year")
    return month, year


def _refused(code: str, message: str, param: str) -> StripeError:
    link = f"https://stripe.com/docs/error-codes/{code.replace('_', '-')}"
    return StripeError(402, "card_error", message, code=code, doc_url=link, param=param)
