"""The customer's address, tax ids and email, which billing details rely on."""

import pytest
import stripe

from tests.support.stripe_account import StripeAccount, plain


def test_address_has_all_fields_and_an_empty_one_clears_it(account: StripeAccount) -> None:
    customer = account.v1.customers.create({"address": {"line1": "1 Main St", "country": "DE"}})
    assert plain(customer)["address"] == {
        "city": None,
        "country": "DE",
        "line1": "1 Main St",
        "line2": None,
        "postal_code": None,
        "state": None,
    }
    assert account.v1.customers.update(customer.id, {"address": ""}).address is None


def test_customer_includes_tax_ids_when_expanded(account: StripeAccount) -> None:
    customer = account.customer(card=None)
    added = account.v1.customers.tax_ids.create(customer.id, {"type": "us_ein", "value": "12-3456789"})
    expanded = account.v1.customers.retrieve(customer.id, {"expand": ["tax_ids"]})
    assert [row["id"] for row in plain(expanded)["tax_ids"]["data"]] == [added.id]
    assert "tax_ids" not in plain(account.v1.customers.retrieve(customer.id))


@pytest.mark.parametrize(
    ("kind", "value", "param", "code"),
    [
        ("eu_vat", "12", "value", "tax_id_invalid"),
        ("gb_vat", "GB1", "value", "tax_id_invalid"),
        ("xx_no", "1", "type", None),
    ],
)
def test_invalid_tax_id_is_refused(account: StripeAccount, kind: str, value: str, param: str, code: str | None) -> None:
    customer = account.customer(card=None)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        account.v1.customers.tax_ids.create(customer.id, {"type": kind, "value": value})
    assert (refused.value.param, refused.value.code) == (param, code)


def test_tax_id_of_another_customer_is_not_found(account: StripeAccount) -> None:
    customer = account.customer(card=None)
    added = account.v1.customers.tax_ids.create(customer.id, {"type": "eu_vat", "value": "DE123456789"})
    assert (added.country, added.value) == ("DE", "DE123456789")
    assert [row.id for row in account.v1.customers.tax_ids.list(customer.id).data] == [added.id]
    account.v1.customers.tax_ids.delete(customer.id, added.id)
    assert account.v1.customers.tax_ids.list(customer.id).data == []
    assert [event.type for event in account.events(type="customer.tax_id.*")] == [
        "customer.tax_id.created",
        "customer.tax_id.deleted",
    ]


def test_customer_has_at_most_five_tax_ids(account: StripeAccount) -> None:
    customer, other = account.customer(card=None), account.customer(card=None)
    values = [f"DE12345678{digit}" for digit in range(6)]
    added = [account.v1.customers.tax_ids.create(customer.id, {"type": "eu_vat", "value": each}) for each in values[:5]]
    with pytest.raises(stripe.InvalidRequestError, match="up to 5 tax IDs") as refused:
        account.v1.customers.tax_ids.create(customer.id, {"type": "eu_vat", "value": values[5]})
    assert refused.value.http_status == 400
    account.v1.customers.tax_ids.create(other.id, {"type": "eu_vat", "value": values[5]})
    account.v1.customers.tax_ids.delete(customer.id, added[0].id)
    account.v1.customers.tax_ids.create(customer.id, {"type": "eu_vat", "value": values[5]})
    assert len(account.v1.customers.tax_ids.list(customer.id).data) == 5


def test_email_filter_finds_its_customers(account: StripeAccount) -> None:
    found = account.v1.customers.create({"email": "a@example.test"})
    account.v1.customers.create({"email": "b@example.test"})
    assert [row.id for row in account.v1.customers.list({"email": "a@example.test"}).data] == [found.id]
