"""An overdue sent invoice does not lower the standing while a bank debit pays it."""

from datetime import timedelta

import pytest

from gateway.db.models import Organization
from tests.support.accounts import subscribe
from tests.support.api import ApiClient
from tests.support.clock import StripeTime
from tests.support.world import World


@pytest.mark.parametrize(
    ("token", "after"), [("pm_usBankAccount", "good"), ("pm_usBankAccount_insufficientFunds", "grace")]
)
def test_debit_of_an_overdue_invoice_is_no_debt(
    world: World, api: ApiClient, stripe_time: StripeTime, token: str, after: str
) -> None:
    customer = world.rows(Organization)[0].stripe_customer_id or ""
    sold = subscribe(world, customer, "plus", collection_method="send_invoice", days_until_due=1)
    invoice = str(world.stripe.v1.subscriptions.retrieve(sold).latest_invoice)
    world.stripe.v1.invoices.finalize_invoice(invoice)
    method = world.stripe.v1.payment_methods.attach(token, {"customer": customer}).id
    standings: list[str] = []
    for days in (2, 2, 10):
        stripe_time.ahead = timedelta(days=days).total_seconds()
        if standings:
            pay_once(world, invoice, method)
        world.stripe.v1.subscriptions.retrieve(sold)
        world.settle()
        standings.append(api.ok("GET", "/subscription")["standing"])
    assert standings == ["grace", "good", after]


def pay_once(world: World, invoice: str, method: str) -> None:
    """Begin to pay the invoice, unless it was tried before."""
    if not world.stripe.v1.invoices.retrieve(invoice).attempted:
        world.stripe.v1.invoices.pay(invoice, {"payment_method": method})
