"""A change is made while the webhooks of the renewal, or of its declined payment, are still on their way."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from gateway.db import jobs
from gateway.db.models import Invoice
from gateway.endpoints.request_context import EXTENSION
from gateway.services.mirror.refresh import refresh
from gateway.services.plan_changes.unpaid_credits import withdraw_for_organization
from tests.integration.unpaid_periods.debtor import Debtor
from tests.support.clock import DAY
from tests.support.jobs import make_due

DRAFT, DECLINED = 0.03, 0.2
"""Days after the renewal at which its invoice is a draft, and at which its payment was declined."""

JOB = jobs.WITHDRAW_FOREIGN_CREDITS


@pytest.fixture
def renewed(renew: Callable[..., Debtor], request: pytest.FixtureRequest) -> Debtor:
    """Return an organization that Stripe has renewed, which no webhook has told the gateway."""
    debtor = renew(card="pm_card_visa", days=1, status="active")
    v1 = debtor.world.stripe.v1
    debtor.api.add_card(debtor.world.stripe, "pm_card_chargeCustomerFail")
    debtor.world.settle()
    [item, *_] = v1.subscriptions.retrieve(debtor.subscription)["items"].data
    debtor.stripe_time.ahead += item.current_period_end + request.param * DAY - debtor.stripe_time()
    v1.subscriptions.retrieve(debtor.subscription)
    debtor.world.await_deliveries()
    found = Debtor(debtor.world, debtor.api, debtor.stripe_time, debtor.subscription, debtor.customer)
    assert found.renewal not in {row.id for row in debtor.world.rows(Invoice)}
    return found


def catch_up(debtor: Debtor) -> None:
    """Deliver the webhooks, and let the renewal's payment be declined."""
    debtor.world.settle()
    debtor.wait(DECLINED)
    for kind in (jobs.WITHDRAW_CREDITS, JOB):
        make_due(debtor.world, kind)
        debtor.world.settle()


def assert_withdrawn(debtor: Debtor) -> None:
    [credit] = debtor.credited()
    assert 0 < debtor.invoice().amount_remaining == debtor.invoice().total - credit
    assert (sum(debtor.pending()), debtor.balance()) == (0, 0)


@pytest.mark.parametrize("renewed", [DRAFT, DECLINED], indirect=True)
def test_cancelling_credits_nothing(renewed: Debtor) -> None:
    assert renewed.api.ok("DELETE", "/subscription")["state"] == "applied"
    catch_up(renewed)
    assert_withdrawn(renewed)


@pytest.mark.parametrize("renewed", [DRAFT, DECLINED], indirect=True)
def test_confirming_a_quote_credits_nothing(renewed: Debtor) -> None:
    quote = renewed.api.ok("POST", "/subscription/preview", plan="free")
    assert renewed.api.ok("PATCH", "/subscription", quote=quote["token"])["state"] == "applied"
    catch_up(renewed)
    assert_withdrawn(renewed)


@pytest.mark.parametrize("renewed", [DECLINED], indirect=True)
def test_quote_knows_the_declined_renewal(renewed: Debtor) -> None:
    quote = renewed.api.ok("POST", "/subscription/preview", plan="free")
    renewed.api.ok("PATCH", "/subscription", quote=quote["token"])
    assert (quote["credit"], renewed.invoice().amount_remaining) == (0, quote["amount_unpaid"])


@pytest.mark.parametrize("renewed", [DRAFT, DECLINED], indirect=True)
def test_dashboards_downgrade_credits_nothing(renewed: Debtor) -> None:
    v1 = renewed.world.stripe.v1
    [free] = v1.prices.list({"lookup_keys": ["konnect_free_usd_month"]}).data
    [item] = v1.subscriptions.retrieve(renewed.subscription)["items"].data
    v1.subscriptions.update(renewed.subscription, {"items": [{"id": item.id, "price": free.id, "quantity": 1}]})
    refresh(renewed.world.gateway, "subscription", renewed.subscription)  # its webhook comes before the invoice's
    withdraw_for_organization(renewed.world.gateway, "org_1")
    with renewed.world.gateway.database.transaction() as session:
        session.execute(text("DELETE FROM procrastinate_jobs WHERE task_name = :task"), {"task": JOB})
    catch_up(renewed)
    assert_withdrawn(renewed)


def use_stripes_time(debtor: Debtor) -> None:
    """Let the API have the clock of Stripe."""
    at_stripe = replace(debtor.world.gateway, clock=lambda: datetime.fromtimestamp(debtor.stripe_time(), UTC))
    debtor.world.client.application.extensions[EXTENSION].gateway = at_stripe


@pytest.mark.parametrize("renewed", [DECLINED], indirect=True)
def test_purchase_after_a_declined_renewal_is_refused(renewed: Debtor) -> None:
    use_stripes_time(renewed)
    assert renewed.api.problem("PATCH", "/subscription", quantity=4) == (402, "unpaid_invoice")


def test_purchase_is_refused_if_only_an_earlier_invoice_was_paid(debtor: Debtor) -> None:
    v1 = debtor.world.stripe.v1
    debtor.api.add_card(debtor.world.stripe)
    debtor.world.settle()
    v1.invoices.pay(debtor.renewal)
    attached = v1.payment_methods.attach("pm_card_chargeCustomerFail", {"customer": debtor.customer})
    v1.customers.update(debtor.customer, {"invoice_settings": {"default_payment_method": attached.id}})
    [item, *_] = v1.subscriptions.retrieve(debtor.subscription)["items"].data
    debtor.stripe_time.ahead += item.current_period_end + DECLINED * DAY - debtor.stripe_time()
    v1.subscriptions.retrieve(debtor.subscription)
    debtor.world.await_deliveries()
    use_stripes_time(debtor)
    assert debtor.api.problem("PATCH", "/subscription", quantity=4) == (402, "unpaid_invoice")
