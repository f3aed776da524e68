"""Lists, their cursors and filters, and expanded fields."""

from typing import Any

import pytest
import stripe

from tests.support.stripe_account import StripeAccount, plain


def names(page: stripe.ListObject[stripe.Customer]) -> list[str | None]:
    return [customer.name for customer in page.data]


@pytest.fixture
def ids(account: StripeAccount) -> dict[str, str]:
    return {name: account.v1.customers.create({"name": name}).id for name in "abcde"}


@pytest.mark.usefixtures("ids")
def test_list_is_newest_first_and_says_whether_more_follows(account: StripeAccount) -> None:
    page = account.v1.customers.list({"limit": 3})
    assert (names(page), page.has_more, page.url) == (["e", "d", "c"], True, "/v1/customers")
    assert [customer.name for customer in page.auto_paging_iter()] == ["e", "d", "c", "b", "a"]
    assert "total_count" not in plain(page)


def test_cursors_go_both_ways(account: StripeAccount, ids: dict[str, str]) -> None:
    older = account.v1.customers.list({"starting_after": ids["c"], "limit": 1})
    newer = account.v1.customers.list({"ending_before": ids["c"], "limit": 1})
    assert (names(older), older.has_more) == (["b"], True)
    assert (names(newer), newer.has_more) == (["d"], True)


def test_deleted_object_still_works_as_a_cursor(account: StripeAccount, ids: dict[str, str]) -> None:
    account.v1.customers.delete(ids["c"])
    assert names(account.v1.customers.list({"starting_after": ids["c"]})) == ["b", "a"]


@pytest.mark.usefixtures("ids")
def test_limit_is_clamped_to_its_bounds(account: StripeAccount) -> None:
    page = account.v1.customers.list({"limit": 0})
    assert (len(page.data), page.has_more) == (1, True)
    assert len(account.v1.customers.list({"limit": 101}).data) == 5


def test_subscriptions_can_be_filtered_by_status(account: StripeAccount) -> None:
    customer = account.customer()
    price = account.price(0)
    kept, ended = (account.subscribe(customer.id, price.id) for _ in range(2))
    account.v1.subscriptions.cancel(ended.id)

    def found(**filters: str) -> list[str]:
        params: Any = {"customer": customer.id, **filters}
        return [row.id for row in account.v1.subscriptions.list(params).data]

    assert found() == [kept.id]
    assert found(status="all") == [ended.id, kept.id]
    assert found(status="ended") == [ended.id]
    assert found(price=price.id) == [kept.id]
    assert found(price="price_other") == []


def test_ids_expand_into_objects(account: StripeAccount) -> None:
    customer = account.customer()
    subscription = account.v1.subscriptions.create(
        {
            "customer": customer.id,
            "items": [{"price": account.price(2000).id}],
            "expand": [
                "customer.invoice_settings.default_payment_method",
                "latest_invoice.payments",
                "latest_invoice.confirmation_secret",
                "items.data.price.product",
            ],
        }
    )
    found = plain(subscription)
    assert found["customer"]["invoice_settings"]["default_payment_method"]["card"]["last4"] == "4242"
    assert found["latest_invoice"]["payments"]["data"][0]["amount_paid"] == 2000
    assert found["latest_invoice"]["confirmation_secret"]["client_secret"].startswith("pi_")
    assert found["items"]["data"][0]["price"]["product"]["name"] == "Plus"
    bare = plain(account.v1.subscriptions.retrieve(subscription.id))
    assert (bare["customer"], bare["latest_invoice"]) == (customer.id, found["latest_invoice"]["id"])


def test_rows_of_a_list_expand_too(account: StripeAccount) -> None:
    account.subscribe(account.customer().id, account.price(0).id)
    (row,) = account.v1.subscriptions.list({"expand": ["data.customer", "data.latest_invoice"]}).data
    assert isinstance(row.customer, stripe.Customer)
    assert isinstance(row.latest_invoice, stripe.Invoice)


@pytest.mark.parametrize("path", ["email", "nothing", "a.b.c.d.e"])
def test_expanding_another_field_is_refused(account: StripeAccount, path: str) -> None:
    customer = account.customer(card=None)
    with pytest.raises(stripe.InvalidRequestError, match="expand"):
        account.v1.customers.retrieve(customer.id, {"expand": [path]})


def test_invoice_embeds_ten_lines_and_lists_all(account: StripeAccount) -> None:
    customer = account.customer()
    for number in range(12):
        account.v1.invoice_items.create({"customer": customer.id, "amount": number, "currency": "usd"})
    invoice = account.invoice(account.subscribe(customer.id, account.price(1000).id))
    assert (len(invoice.lines.data), invoice.lines.has_more) == (10, True)
    lines = list(account.v1.invoices.line_items.list(invoice.id, {"limit": 5}).auto_paging_iter())
    assert [line.amount for line in lines] == [*range(11, -1, -1), 1000]
    assert invoice.total == sum(line.amount for line in lines)
