"""A change is settled now if its prorations could wait for a year."""

from dataclasses import replace

import pytest

from gateway.catalog import Charge
from gateway.db.models import Subscription
from gateway.services.plan_table.derive import never_enrolled
from gateway.services.subscription.billing_state import BillingState, UnsettledInvoice
from gateway.services.subscription.settlement import choose_settlement, restarts_periods
from gateway.services.subscription.terms import Contract
from tests.support.catalogs import PLAIN_CATALOG

ACTIVE = Subscription(id="sub_1", status="active", collection_method="charge_automatically")
TRIALING = Subscription(id="sub_1", status="trialing", collection_method="charge_automatically")
SENT = Subscription(id="sub_1", status="active", collection_method="send_invoice")
MONTH, YEAR = Contract(currency="usd", interval="month"), Contract(currency="usd", interval="year")


def on_plus(subscription: Subscription, contract: Contract) -> BillingState:
    """Return the state of an organization with two units of Plus."""
    return BillingState(
        plan_state=replace(never_enrolled("free"), plan="plus", requested_plan="plus", quantity=2),
        plan_version=1,
        subscription=subscription,
        duplicates={},
        base_item=None,
        payment_method=None,
        unsettled_invoices=(),
        has_paid=False,
        prices={},
        contract=contract,
    )


@pytest.mark.parametrize(
    ("subscription", "contract", "settled", "restarts"),
    [
        (ACTIVE, MONTH, "on_billing_date", False),
        (ACTIVE, YEAR, "now", False),
        (ACTIVE, MONTH.with_interval("year"), "now", True),
        (ACTIVE, YEAR.with_interval("month"), "now", True),
        (SENT, YEAR, "on_billing_date", False),
        (SENT, MONTH.with_interval("year"), "now", True),
        (TRIALING, YEAR, "on_billing_date", False),
        (TRIALING, MONTH.with_interval("year"), "on_billing_date", False),
    ],
)
def test_the_interval_decides_when_a_change_is_settled(
    subscription: Subscription, contract: Contract, settled: Charge, restarts: bool
) -> None:
    billing = on_plus(subscription, contract)
    assert choose_settlement(PLAIN_CATALOG, billing, "plus", PLAIN_CATALOG.get("plus"), 3) == settled
    assert restarts_periods(billing) == restarts


def test_a_reduction_in_an_unpaid_year_waits() -> None:
    unpaid = (UnsettledInvoice("in_1", "sub_1", "open", 100),)
    billing = replace(on_plus(ACTIVE, YEAR), unsettled_invoices=unpaid)
    assert choose_settlement(PLAIN_CATALOG, billing, "plus", PLAIN_CATALOG.get("plus"), 1) == "on_billing_date"
