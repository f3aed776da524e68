"""Stripe's documented test cards, by token and by number, and how they attach and decline."""

from typing import Any

import pytest
import stripe

from tests.support.stripe_account import StripeAccount, plain

YEAR = 2030


def by_number(account: StripeAccount, number: str, **more: Any) -> stripe.PaymentMethod:
    card: Any = {"number": number, "exp_month": 12, "exp_year": YEAR, "cvc": "123"} | more
    return account.v1.payment_methods.create({"type": "card", "card": card})


@pytest.mark.parametrize(
    ("token", "brand", "funding", "last4"),
    [
        ("visa", "visa", "credit", "4242"),
        ("visa_debit", "visa", "debit", "5556"),
        ("mastercard", "mastercard", "credit", "4444"),
        ("mastercard_prepaid", "mastercard", "prepaid", "5100"),
        ("amex", "amex", "credit", "8431"),
        ("discover", "discover", "credit", "9424"),
        ("diners", "diners", "credit", "0004"),
        ("jcb", "jcb", "credit", "0505"),
        ("unionpay", "unionpay", "credit", "0005"),
    ],
)
def test_cards_of_every_brand_pay(account: StripeAccount, token: str, brand: str, funding: str, last4: str) -> None:
    made = account.v1.payment_methods.create({"type": "card", "card": {"token": f"tok_{token}"}})
    assert made.card is not None
    assert (made.card.brand, made.card.funding, made.card.last4) == (brand, funding, last4)
    subscription = account.subscribe(account.customer(f"pm_card_{token}").id, account.price(2000).id)
    assert subscription.status == "active"


DECLINES = [
    ("4000000000000002", "pm_card_visa_chargeDeclined", "card_declined", "generic_decline"),
    ("4000000000009995", "pm_card_visa_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
    ("4000000000009987", "pm_card_visa_chargeDeclinedLostCard", "card_declined", "lost_card"),
    ("4000000000009979", "pm_card_visa_chargeDeclinedStolenCard", "card_declined", "stolen_card"),
    ("4000000000000069", "pm_card_chargeDeclinedExpiredCard", "expired_card", None),
    ("4000000000000127", "pm_card_chargeDeclinedIncorrectCvc", "incorrect_cvc", None),
    ("4000000000000119", "pm_card_chargeDeclinedProcessingError", "processing_error", None),
    ("4000000000006975", "pm_card_visa_chargeDeclinedVelocityLimitExceeded", "card_declined", "card_velocity_exceeded"),
]


@pytest.mark.parametrize(("number", "token", "code", "decline_code"), DECLINES)
def test_declining_card_can_be_created_but_not_attached(
    account: StripeAccount, number: str, token: str, code: str, decline_code: str | None
) -> None:
    customer = account.customer(card=None)
    for card in (token, by_number(account, number).id):
        with pytest.raises(stripe.CardError) as refused:
            account.v1.payment_methods.attach(card, {"customer": customer.id})
        assert (refused.value.http_status, refused.value.code) == (402, code)
        assert refused.value.error is not None
        assert refused.value.error.decline_code == decline_code
    assert account.v1.customers.payment_methods.list(customer.id).data == []
    assert account.events(type="payment_method.attached") == []


def test_generic_decline_has_the_recorded_error(account: StripeAccount) -> None:
    with pytest.raises(stripe.CardError) as refused:
        account.customer("pm_card_visa_chargeDeclined")
    body = dict(refused.value.json_body["error"])  # type: ignore[index]  # the response has a body
    body.pop("request_log_url")
    assert body == {
        "advice_code": "try_again_later",
        "code": "card_declined",
        "decline_code": "generic_decline",
        "doc_url": "https://stripe.com/docs/error-codes/card-declined",
        "message": "Your card was declined.",
        "network_decline_code": "01",
        "type": "card_error",
    }


def test_card_without_security_code_is_not_declined_for_it(account: StripeAccount) -> None:
    customer = account.customer(card=None)
    unchecked = account.v1.payment_methods.create(
        {"type": "card", "card": {"number": "4000000000000127", "exp_month": 12, "exp_year": YEAR}}
    )
    assert account.v1.payment_methods.attach(unchecked.id, {"customer": customer.id}).customer == customer.id


def test_card_can_be_created_by_number(account: StripeAccount) -> None:
    made = by_number(account, "5555 5555 5555 4444", exp_month=7, exp_year=31)
    assert made.card is not None
    assert (made.card.brand, made.card.last4, made.card.exp_month, made.card.exp_year) == (
        "mastercard",
        "4444",
        7,
        2031,
    )
    assert made.card.fingerprint == by_number(account, "5555555555554444").card.fingerprint  # type: ignore[union-attr]  # always a card


@pytest.mark.parametrize(
    ("change", "code", "param"),
    [
        ({"number": "4242424242424241"}, "incorrect_number", "number"),
        ({"number": "none"}, "incorrect_number", "number"),
        ({"exp_month": 13}, "invalid_expiry_month", "exp_month"),
        ({"exp_month": 8, "exp_year": 2026}, "invalid_expiry_month", "exp_month"),  # the clock stands in September
        ({"exp_year": 2025}, "invalid_expiry_year", "exp_year"),
        ({"exp_year": 2099}, "invalid_expiry_year", "exp_year"),
        ({"cvc": "12"}, "invalid_cvc", "cvc"),
        ({"number": "378282246310005"}, "invalid_cvc", "cvc"),  # American Express uses four digits
    ],
)
def test_invalid_card_data_is_refused(account: StripeAccount, change: dict[str, Any], code: str, param: str) -> None:
    with pytest.raises(stripe.CardError) as refused:
        by_number(account, **({"number": "4242424242424242"} | change))
    assert (refused.value.http_status, refused.value.code, refused.value.param) == (402, code, param)


def test_number_of_no_test_card_is_refused_as_a_live_card(account: StripeAccount) -> None:
    with pytest.raises(stripe.CardError, match="used a non test") as refused:
        by_number(account, "4111111111111111")
    assert refused.value.error is not None
    assert (refused.value.code, refused.value.error.decline_code) == ("card_declined", "test_mode_live_card")


@pytest.mark.parametrize(
    ("card", "param"),
    [(None, "card"), ({"token": "tok_none"}, "card[token]"), ({"number": "4242424242424242"}, "card[exp_month]")],
)
def test_card_requires_a_token_or_a_number_with_expiry(account: StripeAccount, card: Any, param: str) -> None:
    params: Any = {"type": "card"} | ({"card": card} if card else {})
    with pytest.raises(stripe.InvalidRequestError) as refused:
        account.v1.payment_methods.create(params)
    assert refused.value.param == param


def test_other_payment_method_types_are_not_implemented(account: StripeAccount) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        account.v1.payment_methods.create({"type": "ideal"})
    assert refused.value.code == "sandbox_not_implemented"


def test_customer_can_be_created_with_a_card(account: StripeAccount) -> None:
    params: Any = {
        "payment_method": "pm_card_visa",
        "invoice_settings": {"default_payment_method": "pm_card_visa"},
    }
    customer = account.v1.customers.create(params)
    (card,) = account.v1.customers.payment_methods.list(customer.id).data
    assert plain(customer)["invoice_settings"]["default_payment_method"] == card.id
    assert [event.type for event in account.events()] == ["customer.created", "payment_method.attached"]
    assert account.subscribe(customer.id, account.price(2000).id).status == "active"


@pytest.mark.parametrize("card", ["pm_card_visa_chargeDeclined", "pm_none"])
def test_refused_card_prevents_the_new_customer(account: StripeAccount, card: str) -> None:
    with pytest.raises(stripe.StripeError):
        account.v1.customers.create({"payment_method": card})
    assert account.v1.customers.list().data == []


def test_card_of_another_customer_is_refused(account: StripeAccount) -> None:
    card = account.v1.customers.payment_methods.list(account.customer().id).data[0]
    with pytest.raises(stripe.InvalidRequestError, match="may not be used again"):
        account.v1.customers.create({"payment_method": card.id})


@pytest.mark.parametrize("email", ["none", "a b@example.test", "@example.test"])
def test_invalid_email_address_is_refused(account: StripeAccount, email: str) -> None:
    customer = account.customer(card=None)
    with pytest.raises(stripe.InvalidRequestError) as created:
        account.v1.customers.create({"email": email})
    with pytest.raises(stripe.InvalidRequestError) as updated:
        account.v1.customers.update(customer.id, {"email": email})
    for refused in (created.value, updated.value):
        assert (refused.code, refused.param) == ("email_invalid", "email")


def test_email_address_has_at_most_512_characters(account: StripeAccount) -> None:
    longest = f"{'a' * 502}@b.example"
    customer = account.v1.customers.create({"email": longest})
    assert customer.email == longest
    with pytest.raises(stripe.InvalidRequestError, match=r"must be at most 512 characters") as created:
        account.v1.customers.create({"email": f"a{longest}"})
    with pytest.raises(stripe.InvalidRequestError) as updated:
        account.v1.customers.update(customer.id, {"email": f"a{longest}"})
    for refused in (created.value, updated.value):
        assert (refused.http_status, refused.param) == (400, "email")


def test_attaching_a_card_requires_a_customer(account: StripeAccount) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        account.v1.payment_methods.attach("pm_card_visa", {})
    assert (refused.value.code, refused.value.param) == ("parameter_missing", "customer")


def test_test_token_of_a_declining_card_cannot_be_attached(account: StripeAccount) -> None:
    customer = account.customer(card=None)
    with pytest.raises(stripe.CardError) as refused:
        account.v1.payment_methods.attach("pm_card_visa_chargeDeclined", {"customer": customer.id})
    assert (refused.value.code, refused.value.http_status) == ("card_declined", 402)
    assert account.v1.customers.payment_methods.list(customer.id).data == []


def test_test_token_creates_a_new_card_each_time(account: StripeAccount) -> None:
    customer = account.customer(card=None)
    one, two = (account.v1.payment_methods.attach("pm_card_visa", {"customer": customer.id}) for _ in range(2))
    assert one.id != two.id
    assert [card.id for card in account.v1.customers.payment_methods.list(customer.id).data] == [two.id, one.id]


def test_detached_card_is_no_default_and_cannot_be_attached_again(account: StripeAccount) -> None:
    customer = account.customer()
    card = account.v1.customers.payment_methods.list(customer.id).data[0]
    account.v1.payment_methods.detach(card.id)
    settings = account.v1.customers.retrieve(customer.id).invoice_settings
    assert settings is not None
    assert settings.default_payment_method is None
    with pytest.raises(stripe.InvalidRequestError, match="may not be used again"):
        account.v1.payment_methods.attach(card.id, {"customer": customer.id})


def test_default_card_must_be_the_customers_own(account: StripeAccount) -> None:
    stranger = account.customer()
    customer = account.customer(card=None)
    card = account.v1.customers.payment_methods.list(stranger.id).data[0]
    with pytest.raises(stripe.InvalidRequestError) as refused:
        account.v1.customers.update(customer.id, {"invoice_settings": {"default_payment_method": card.id}})
    assert refused.value.param == "invoice_settings[default_payment_method]"


def test_confirmed_setup_intent_attaches_the_card(account: StripeAccount) -> None:
    customer = account.customer(card=None)
    intent = account.v1.setup_intents.create({"customer": customer.id})
    assert intent.client_secret is not None
    assert intent.client_secret.startswith(f"{intent.id}_secret_")
    done = account.v1.setup_intents.confirm(intent.id, {"payment_method": "pm_card_visa"})
    assert (intent.status, done.status) == ("requires_payment_method", "succeeded")
    assert isinstance(done.payment_method, str)
    assert account.v1.payment_methods.retrieve(done.payment_method).customer == customer.id
