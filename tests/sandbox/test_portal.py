"""The customer portal lets a person manage what its configuration allows."""

from typing import Any

import pytest
import requests
import stripe

from tests.support.stripe_account import StripeAccount

ALL: Any = {
    "customer_update": {"enabled": True, "allowed_updates": ["tax_id"]},
    "invoice_history": {"enabled": True},
    "payment_method_update": {"enabled": True},
}


def open_portal(account: StripeAccount, customer: str, features: Any) -> str:
    portal = account.v1.billing_portal
    configuration = portal.configurations.create({"features": features})
    params: Any = {"customer": customer, "configuration": configuration.id, "return_url": "https://example.test/back"}
    return portal.sessions.create(params).url


def press(url: str, **form: str) -> requests.Response:
    answered = requests.post(url, data=form, timeout=5)
    answered.raise_for_status()
    return answered


def default_of(account: StripeAccount, customer: str) -> str:
    settings = account.v1.customers.retrieve(customer).invoice_settings
    assert settings is not None
    return str(settings.default_payment_method)


def test_cards_tax_ids_and_invoices_are_managed(account: StripeAccount, customer: str) -> None:
    invoice = account.invoice(account.subscribe(customer, account.price(2000).id))
    url, first = open_portal(account, customer, ALL), default_of(account, customer)
    press(url, do="add_card", card="pm_card_mastercard")
    assert default_of(account, customer) != first
    press(url, do="make_default", payment_method=first)
    assert default_of(account, customer) == first
    [second] = [each.id for each in account.v1.payment_methods.list({"customer": customer}) if each.id != first]
    press(url, do="remove_card", payment_method=second)
    assert len(account.v1.payment_methods.list({"customer": customer}).data) == 1
    press(url, do="add_tax_id", type="eu_vat", value="DE123456789")
    page = press(url, do="add_tax_id", type="eu_vat", value="DE1").text
    assert "Invalid value for eu_vat." in page
    [tax_id] = account.v1.customers.tax_ids.list(customer).data
    press(url, do="remove_tax_id", tax_id=tax_id.id)
    assert account.v1.customers.tax_ids.list(customer).data == []
    assert str(invoice.hosted_invoice_url) in page
    assert "https://example.test/back" in page


def test_features_that_are_off_do_nothing(account: StripeAccount, customer: str) -> None:
    url = open_portal(account, customer, {"invoice_history": {"enabled": False}})
    page = press(url, do="add_card", card="pm_card_mastercard").text
    press(url, do="add_tax_id", type="eu_vat", value="DE123456789")
    assert len(account.v1.payment_methods.list({"customer": customer}).data) == 1
    assert account.v1.customers.tax_ids.list(customer).data == []
    assert "<form" not in page


def test_unknown_session_is_404(account: StripeAccount, customer: str) -> None:
    url = open_portal(account, customer, ALL)
    assert requests.get(f"{url}x", timeout=5).status_code == 404


def test_session_needs_an_active_configuration(account: StripeAccount, customer: str) -> None:
    portal = account.v1.billing_portal
    configuration = portal.configurations.create({"features": ALL})
    portal.configurations.update(configuration.id, {"active": False})
    assert portal.configurations.list({"active": True}).data == []
    without: Any = {"customer": customer}
    for params in (without, without | {"configuration": configuration.id}):
        with pytest.raises(stripe.InvalidRequestError):
            portal.sessions.create(params)
