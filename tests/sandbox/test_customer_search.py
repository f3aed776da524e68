"""The search of customers, which lags behind."""

import pytest
import requests
import stripe

from gateway.sandbox import Sandbox
from tests.support.stripe_account import StripeAccount
from tests.support.wait import poll


def lag(sandbox: Sandbox, seconds: float) -> int:
    body = {"search_lag": seconds}
    return requests.post(f"{sandbox.url}/_sandbox/settings", json=body, timeout=5).status_code


def found(account: StripeAccount, query: str) -> list[str]:
    return [row.id for row in account.v1.customers.search({"query": query}).data]


def test_search_finds_by_metadata_email_and_more(account: StripeAccount, sandbox: Sandbox) -> None:
    lag(sandbox, 0)
    create = account.v1.customers.create
    ada = create({"email": "Ada@example.test", "name": "Ada King", "metadata": {"organization_id": "org_1"}}).id
    bob = create({"email": "bob@example.test", "name": "Bob", "metadata": {"organization_id": "org_2"}}).id
    assert found(account, "metadata['organization_id']:'org_1'") == [ada]
    assert found(account, 'metadata["organization_id"]:"org_2"') == [bob]
    assert found(account, "email:'ada@example.test'") == [ada]
    assert found(account, "email~'example'") == [bob, ada]
    assert found(account, "email:'bob@example.test' AND name:'Bob'") == [bob]
    assert found(account, "name:'Bob' OR name:'ada king'") == [bob, ada]
    assert found(account, "-metadata['organization_id']:'org_1'") == [bob]
    assert found(account, "phone:null") == [bob, ada]
    assert found(account, "metadata['organization_id']:'org_3'") == []


def test_new_and_changed_customers_are_found_later(account: StripeAccount, sandbox: Sandbox) -> None:
    lag(sandbox, 0.3)
    customer = account.v1.customers.create({"email": "old@example.test"}).id
    assert found(account, "email:'old@example.test'") == []
    poll(lambda: found(account, "email:'old@example.test'"), bool)
    account.v1.customers.update(customer, {"email": "new@example.test"})
    assert found(account, "email:'old@example.test'") == [customer]
    poll(lambda: found(account, "email:'new@example.test'"), bool)
    assert found(account, "email:'old@example.test'") == []
    account.v1.customers.delete(customer)
    poll(lambda: found(account, "email:'new@example.test'"), lambda rows: not rows)


def test_search_lags_by_default(account: StripeAccount) -> None:
    account.customer()
    assert found(account, "email:'owner@example.test'") == []


def test_search_is_paged(account: StripeAccount, sandbox: Sandbox) -> None:
    lag(sandbox, 0)
    made = [account.v1.customers.create({"name": "Same"}).id for _ in range(5)]
    pages = account.v1.customers.search({"query": "name:'Same'", "limit": 2})
    assert [row.id for row in pages.auto_paging_iter()] == made[::-1]


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("email", "unable to parse"),
        ("email:'a' nonsense", "unable to parse"),
        ("email:'a' AND name:'b' OR name:'c'", "cannot combine"),
        ("email>'a'", "does not apply"),
        ("email~'a'", "at least 3 characters"),
        ("created>100", "does not implement the search of customers by `created`"),
    ],
)
def test_other_queries_are_refused(account: StripeAccount, query: str, text: str) -> None:
    with pytest.raises(stripe.InvalidRequestError, match=text):
        found(account, query)


@pytest.mark.parametrize("seconds", [-1, 4000])
def test_impossible_lag_is_refused(sandbox: Sandbox, seconds: float) -> None:
    assert lag(sandbox, seconds) == 400
