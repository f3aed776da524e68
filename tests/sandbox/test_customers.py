"""Customers: what billing details need."""

from tests.sandbox.support import Account, plain


def test_an_address_has_all_its_fields_and_is_cleared_by_an_empty_one(account: Account) -> None:
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


def test_tax_ids_are_kept_per_customer(account: Account) -> None:
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


def test_an_email_finds_its_customers(account: Account) -> None:
    found = account.v1.customers.create({"email": "a@example.test"})
    account.v1.customers.create({"email": "b@example.test"})
    assert [row.id for row in account.v1.customers.list({"email": "a@example.test"}).data] == [found.id]
