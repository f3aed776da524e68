"""The lines of invoices, in every shape that Stripe gives them."""

from typing import Any

import pytest

from gateway.stripe_api.snapshots.invoice_lines import LineKind, read_lines
from tests.support.json_types import Json
from tests.support.recorded_events import payload

INVOICE: Json = payload("invoice.upcoming")["data"]["object"]
PRORATION, PLAN = INVOICE["lines"]["data"]
BILLED_AT = INVOICE["period_end"]
OVER = {"start": BILLED_AT - 100, "end": BILLED_AT}
ADDED = {"type": "invoice_item_details", "invoice_item_details": {"proration": False}}


def read(**changes: Any) -> Json:
    """Read the invoice with one line, which is that of the plan with ``changes``."""
    found = read_lines(INVOICE | {"lines": {"has_more": False, "data": [PLAN | changes]}})
    assert found is not None
    return found[0].to_json()


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({}, LineKind.PLAN),
        ({"period": OVER}, LineKind.USAGE),
        (PRORATION, LineKind.PRORATION),
        ({"parent": ADDED | {"invoice_item_details": {"proration": True}}}, LineKind.PRORATION),
        ({"parent": ADDED}, LineKind.ITEM),
        ({"parent": ADDED, "period": OVER}, LineKind.ITEM),
        ({"parent": None}, LineKind.ITEM),
        ({"parent": {"type": "schedule_details"}}, LineKind.ITEM),
    ],
)
def test_kind_follows_parent_and_period(changes: Json, kind: LineKind) -> None:
    assert read(**changes)["kind"] == kind


def test_discounts_and_taxes_on_top_are_shown() -> None:
    taxes = [{"amount": 190, "tax_behavior": "exclusive"}, {"amount": 70, "tax_behavior": "inclusive"}]
    found = read(discount_amounts=[{"amount": 100}, {"amount": 5}], taxes=taxes, quantity=None)
    assert (found["amount"], found["discount"], found["tax"], found["quantity"]) == (75000, -105, 190, None)


def test_lines_that_are_not_all_shown_are_none() -> None:
    assert read_lines(INVOICE | {"lines": INVOICE["lines"] | {"has_more": True}}) is None
