"""The cards of Stripe's older interface, and the order in which a subscription's payment methods are charged."""

from typing import Any

import pytest
import requests
import stripe

from gateway.sandbox import Sandbox
from tests.support.stripe_account import StripeAccount, plain


def charged(account: StripeAccount, subscription: stripe.Subscription) -> str:
    """Charge the subscription and return the payment method that paid."""
    now = account.again(subscription)
    item = now.items.data[0]
    account.swap(now, item.price.id, (item.quantity or 0) + 1, proration_behavior="always_invoice")
    return str(account.v1.charges.list({"limit": 1}).data[0].payment_method)


def test_payment_methods_are_charged_in_stripes_order(account: StripeAccount) -> None:
    customers, subscriptions = account.v1.customers, account.v1.subscriptions
    customer = customers.create({"source": "tok_visa"})
    source = str(customer.default_source)
    other = customers.payment_sources.create(customer.id, {"source": "tok_mastercard"}).id
    default, own = (account.v1.payment_methods.attach("pm_card_visa", {"customer": customer.id}).id for _ in "ab")
    subscription = account.subscribe(customer.id, account.price(1000).id)
    assert charged(account, subscription) == source
    customers.update(customer.id, {"invoice_settings": {"default_payment_method": default}})
    assert charged(account, subscription) == default
    subscriptions.update(subscription.id, {"default_source": other})
    assert charged(account, subscription) == other
    subscriptions.update(subscription.id, {"default_payment_method": own})
    assert charged(account, subscription) == own
    cleared: Any = {"default_payment_method": "", "default_source": ""}
    subscriptions.update(subscription.id, cleared)
    assert charged(account, subscription) == default


def test_removed_default_source_is_cleared_everywhere(account: StripeAccount) -> None:
    customer = account.v1.customers.create({"source": "tok_visa"})
    sources = account.v1.customers.payment_sources
    first = str(customer.default_source)
    second = sources.create(customer.id, {"source": "tok_amex"}).id
    subscription = account.subscribe(customer.id, account.price(1000).id, default_source=first)
    assert plain(sources.delete(customer.id, first))["deleted"]
    assert account.again(subscription).default_source is None
    assert account.v1.customers.retrieve(customer.id).default_source == second
    assert [source.id for source in sources.list(customer.id).data] == [second]


def test_new_source_of_an_update_becomes_the_default(account: StripeAccount) -> None:
    customer = account.v1.customers.create({"source": "tok_visa"})
    changed = account.v1.customers.update(customer.id, {"source": "tok_mastercard", "expand": ["default_source"]})
    assert isinstance(changed.default_source, stripe.Card)
    assert changed.default_source.brand == "MasterCard"
    back = account.v1.customers.update(customer.id, {"default_source": str(customer.default_source)})
    assert back.default_source == customer.default_source


@pytest.mark.parametrize("token", ["src_1", "tok_unknown"])
def test_unknown_source_is_refused(account: StripeAccount, token: str) -> None:
    with pytest.raises(stripe.InvalidRequestError):
        account.v1.customers.create({"source": token})


def test_declined_source_is_not_added(account: StripeAccount, customer: str) -> None:
    with pytest.raises(stripe.CardError):
        account.v1.customers.payment_sources.create(customer, {"source": "tok_chargeDeclined"})


def test_foreign_source_is_refused(account: StripeAccount, customer: str) -> None:
    foreign = str(account.v1.customers.create({"source": "tok_visa"}).default_source)
    for params in ({"default_source": foreign}, {"default_source": "card_none"}):
        with pytest.raises(stripe.InvalidRequestError, match="No such source"):
            account.v1.customers.update(customer, params)  # type: ignore[arg-type]  # the two have one type


def automatically_update(sandbox: Sandbox, method: str, **body: Any) -> requests.Response:
    url = f"{sandbox.url}/_sandbox/payment_methods/{method}/automatically_update"
    return requests.post(url, json=body, timeout=5)


def test_card_is_updated_automatically(account: StripeAccount, sandbox: Sandbox, customer: str) -> None:
    card = account.v1.payment_methods.list({"customer": customer}).data[0]
    assert card.card is not None
    assert automatically_update(sandbox, card.id, exp_month=1, exp_year=2040).status_code == 200
    (event,) = account.events(type="payment_method.automatically_updated")
    data = plain(event)["data"]
    assert (data["object"]["card"]["exp_month"], data["object"]["card"]["exp_year"]) == (1, 2040)
    assert data["previous_attributes"] == {"card": {"exp_month": card.card.exp_month, "exp_year": card.card.exp_year}}


@pytest.mark.parametrize("body", [{}, {"exp_month": 13, "exp_year": 2040}, {"exp_month": 1, "exp_year": "2040"}])
def test_automatic_update_needs_an_expiry_date(
    account: StripeAccount, sandbox: Sandbox, customer: str, body: dict[str, Any]
) -> None:
    card = account.v1.payment_methods.list({"customer": customer}).data[0].id
    assert automatically_update(sandbox, card, **body).status_code == 400
    assert account.events(type="payment_method.automatically_updated") == []


def test_only_cards_are_updated_automatically(account: StripeAccount, sandbox: Sandbox, customer: str) -> None:
    bank = account.v1.payment_methods.attach("pm_usBankAccount", {"customer": customer}).id
    assert automatically_update(sandbox, bank, exp_month=1, exp_year=2040).status_code == 400
