"""Unpaid time is charged back with its taxes, and the unpaid invoice falls by the time with its taxes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.unpaid_periods.debtor import Debtor
from tests.support.catalogs import write_catalog
from tests.support.json_types import Json

CHANGES: list[Json] = [{"plan": "free"}, {"quantity": 1}]
TAXED = [
    ("exclusive", "automatic"),
    ("inclusive", "automatic"),
    ("unspecified", "automatic"),
    ("unspecified", "subscription"),
    ("unspecified", "item"),
]


@pytest.fixture
def catalog_file(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    file = write_catalog(tmp_path / "catalog.toml")
    if request.param != "unspecified":
        text = f'tax_behavior = "{request.param}"\n' + file.read_text(encoding="utf-8")
        file.write_text(text, encoding="utf-8")
    return file


@pytest.fixture
def taxed(renew: Callable[..., Debtor], request: pytest.FixtureRequest) -> Debtor:
    """Return an organization whose second renewal was taxed and declined."""
    debtor = renew(card="pm_card_visa", days=1, status="active")
    v1 = debtor.world.stripe.v1
    v1.customers.update(debtor.customer, {"address": {"country": "DE"}})
    terms: Any = {"automatic_tax": {"enabled": True}}
    if request.param != "automatic":
        rate = v1.tax_rates.create({"display_name": "VAT", "percentage": 19, "inclusive": False})
        terms = {"default_tax_rates": [rate.id]}
        if request.param == "item":
            [item] = v1.subscriptions.retrieve(debtor.subscription)["items"].data
            terms = {"items": [{"id": item.id, "tax_rates": [rate.id]}]}
    v1.subscriptions.update(debtor.subscription, terms)
    debtor.world.settle()
    found = debtor.fall_behind()
    assert found.invoice().total_taxes
    return found


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(("catalog_file", "taxed"), TAXED, indirect=True)
def test_debt_and_next_invoice_fall_as_quoted(taxed: Debtor, change: Json) -> None:
    taxed.wait(days=3)
    quote = taxed.api.ok("POST", "/subscription/preview", **change)
    taxed.api.ok("PATCH", "/subscription", quote=quote["token"])
    assert (quote["credit"], taxed.invoice().amount_remaining) == (0, quote["amount_unpaid"])
    assert taxed.next_total() == quote["amount_due_on_billing_date"]


@pytest.mark.parametrize(("catalog_file", "taxed"), TAXED, indirect=True)
def test_only_the_used_time_stays_owed(taxed: Debtor) -> None:
    asked = taxed.invoice().total
    taxed.api.ok("DELETE", "/subscription")
    assert 0 < taxed.invoice().amount_remaining < asked // 100
    assert (sum(taxed.pending()), taxed.next_total()) == (0, 0)


@pytest.mark.parametrize(("catalog_file", "taxed"), TAXED, indirect=True)
def test_credit_note_takes_no_more_than_is_left(taxed: Debtor) -> None:
    taxed.world.stripe.v1.credit_notes.create({"invoice": taxed.renewal, "amount": taxed.invoice().total - 2000})
    taxed.world.settle()
    quote = taxed.api.ok("POST", "/subscription/preview", plan="free")
    taxed.api.ok("PATCH", "/subscription", quote=quote["token"])
    assert (quote["credit"], quote["amount_unpaid"], taxed.credited()[1:]) == (0, 0, [2000])
    assert (sum(taxed.pending()), taxed.next_total()) == (0, 0)


@pytest.mark.parametrize(("catalog_file", "taxed"), TAXED, indirect=True)
def test_what_the_balance_has_paid_is_credited(taxed: Debtor) -> None:
    taxed.pay()
    taxed.wait_for_renewal()
    taxed.wait(days=0.1)
    taxed.world.stripe.v1.customers.balance_transactions.create(taxed.customer, {"amount": -15000, "currency": "usd"})
    debtor = taxed.fall_behind()
    quote = debtor.api.ok("POST", "/subscription/preview", plan="free")
    debtor.api.ok("PATCH", "/subscription", quote=quote["token"])
    assert quote["credit"] == pytest.approx(15000, rel=0.1)
    assert (debtor.next_total(), debtor.invoice().amount_remaining) == (-quote["credit"], quote["amount_unpaid"])
