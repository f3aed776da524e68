"""The gateway credits at most the money that it received, and every use of a plan is paid or owed.

The rules are those of an organization that pays late or never. ``books`` is the oracle. It knows the price, the periods
and the accepted changes, and none of the gateway's code. This runs a longer search::

    STATEFUL_EXAMPLES=500 STATEFUL_STEPS=40 pytest tests/stateful/received_money -n0
"""

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
import requests
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from gateway.catalog import Catalog, Charge
from gateway.db import jobs
from gateway.errors import GatewayError
from gateway.services.plan_changes.confirm import confirm_change
from gateway.services.plan_changes.request import change_plan
from gateway.services.quotes.preview import Quote, quote_change
from schemas.changes import ChangeCommand
from tests.stateful.convergence.stepped_gateway import SteppedGateway, pass_on, sell_plus
from tests.stateful.received_money.books import Books, Ledger, Terms
from tests.support.clock import DAY
from tests.support.faults import request_fault
from tests.support.machines import drawn

PRICE = 25000
HOUR = 3600
FAULTS = st.sampled_from(["error_before", "error_after", "response_lost"])
STEPS = st.sampled_from(["/v1/invoiceitems", "/v1/credit_notes"])


def sell_taxed(charge: Charge, terms: Terms) -> Catalog:
    """Return the catalogue with a Plus that is charged at ``charge``, with the tax behavior of the terms."""
    plans = sell_plus(charge).plans
    return Catalog(
        tuple(
            replace(plan, prices=tuple(replace(price, tax_behavior=terms.taxes) for price in plan.prices))
            for plan in plans
        )
    )


class ReceivedMoney(RuleBasedStateMachine):
    """One organization, its card and its debts."""

    database_url: str
    charge: Charge = "on_billing_date"
    terms: Terms = Terms()

    @initialize()
    def enrol(self) -> None:
        self.stage = SteppedGateway(self.database_url, catalog=sell_taxed(self.charge, self.terms))
        wanted: Any = {"retry_days": [1], "after_retries": "past_due"}
        assert requests.post(f"{self.stage.sandbox.url}/_sandbox/settings", json=wanted, timeout=5).ok
        self.caller = self.stage.caller("org_1")
        change_plan(self.stage.gateway, self.caller, ChangeCommand(plan="free", enroll=True))
        [self.subscription] = self.stage.account.v1.subscriptions.list().data
        self.customer = str(self.subscription.customer)
        self.grant_terms()
        self.ledger = Ledger(self.terms.total(PRICE), roundings=8 if self.terms.on_top else 4)
        self.ledger.change(int(self.stage.clock.now), 0)
        self.forgiven = Fraction(0)
        self.good_card = True
        self.stage.account.give_card(self.customer, "pm_card_visa")
        self.work()

    def grant_terms(self) -> None:
        v1 = self.stage.account.v1
        if self.terms.percent_off:
            coupon = v1.coupons.create({"percent_off": self.terms.percent_off, "duration": "forever"})
            v1.subscriptions.update(self.subscription.id, {"discounts": [{"coupon": coupon.id}]})
        if self.terms.taxes is not None:
            v1.customers.update(self.customer, {"address": {"country": "DE"}})
            v1.subscriptions.update(self.subscription.id, {"automatic_tax": {"enabled": True}})

    @rule(quantity=st.sampled_from([0, 0, 0, 1, 2, 3, 7]), quoted=st.booleans())
    def change(self, quantity: int, *, quoted: bool) -> None:
        """Cancel the plan, upgrade, or change the quantity."""
        if self.charge == "now" and not self.good_card and quantity:
            return  # a declined payment discards pending items of every kind
        plan, units = ("plus", quantity) if quantity else ("free", 1)
        gateway, quote = self.stage.gateway, None
        try:
            command = ChangeCommand(plan=plan, quantity=units)
            if quoted:
                quote = quote_change(gateway, self.caller, plan, units)
                command = ChangeCommand(quote=quote.token)
            view = confirm_change(gateway, self.caller, command)
        except GatewayError:
            return
        assert view.state == "applied"
        self.ledger.change(int(self.stage.clock.now), quantity)
        self.work()
        if quote is not None and not self.under_way:
            self.check_quote(quote)

    def check_quote(self, quote: Quote) -> None:
        """Check that the next invoice and the debts are as quoted. Two taxes may be rounded apart by a cent."""
        v1 = self.stage.account.v1
        next_invoice = v1.invoices.create_preview({"subscription": self.subscription.id})
        owed = sum(v1.invoices.retrieve(each).amount_remaining for each in self.debts())
        cent = 1 if self.terms.on_top else 0
        assert next_invoice.amount_due == pytest.approx(quote.amount_due_on_billing_date, abs=cent)
        assert owed == quote.amount_unpaid

    @rule()
    def decline(self) -> None:
        """Replace the card by one that Stripe declines from now on."""
        self.stage.account.give_card(self.customer, "pm_card_chargeCustomerFail")
        self.good_card = False
        self.work()

    @rule()
    def pay(self) -> None:
        """Replace the card by a good one, and pay everything that is owed."""
        self.stage.account.give_card(self.customer, "pm_card_visa")
        self.good_card = True
        for invoice in self.debts():
            self.stage.account.v1.invoices.pay(invoice)
        self.work()

    @rule()
    def write_off(self) -> None:
        for invoice in self.debts():
            if self.stage.account.v1.invoices.retrieve(invoice).status == "open":
                self.stage.account.v1.invoices.mark_uncollectible(invoice)
        self.work()

    @rule()
    def void(self) -> None:
        """Forgive a debt, as sales does. Stripe then also gives back the balance that the invoice had used."""
        for invoice in self.debts()[:1]:
            before = self.read_books()
            self.stage.account.v1.invoices.void_invoice(invoice)
            after = self.read_books()
            self.forgiven += before.invoiced + before.waiting - after.invoiced - after.waiting
        self.work()

    @rule(seconds=st.sampled_from([1, 60, HOUR // 2, 2 * HOUR, DAY, 7 * DAY, 12 * DAY, 20 * DAY]))
    def wait(self, seconds: int) -> None:
        self.stage.wait(seconds)
        self.work()

    @rule(after=st.sampled_from([60, 2 * HOUR, 3 * DAY, 9 * DAY]), quantity=st.sampled_from([1, 2, 7]))
    def fall_behind(self, after: int, quantity: int) -> None:
        """Let a renewal of a plan fail, or reach its draft."""
        self.change(quantity, quoted=False)
        self.decline()
        self.wait(int(self.ledger.periods[-1][1] - self.stage.clock.now) + after)

    @rule(kind=FAULTS, path=STEPS)
    def fail(self, kind: str, path: str) -> None:
        """Let one call of the next withdrawal fail."""
        request_fault(self.stage.sandbox.url, kind=kind, method="POST", path=path)

    def debts(self) -> list[str]:
        """Return the ids of the unpaid invoices, oldest first."""
        found = self.stage.account.v1.invoices.list({"customer": self.customer, "limit": 100}).auto_paging_iter()
        return [each.id for each in found if each.status in ("open", "uncollectible")][::-1]

    def read_books(self) -> Books:
        return Books.read(self.stage.account, self.customer, self.terms.on_top)

    def work(self) -> None:
        """Deliver all events and run all due jobs, and every withdrawal early. A job that fails runs again later."""
        pass_on(self.stage)
        self.under_way = False
        for job in [
            each for each in self.stage.jobs() if each.task == jobs.WITHDRAW_CREDITS or each in self.stage.due()
        ]:
            try:
                self.stage.work(job)
            except GatewayError:
                self.under_way = self.under_way or job.task == jobs.WITHDRAW_CREDITS
                self.stage.put_back(job)
        pass_on(self.stage)

    @invariant()
    def money_is_conserved(self) -> None:
        """Check both properties to the cent, apart from Stripe's rounding of each amount."""
        item = self.stage.account.again(self.subscription).items.data[0]
        self.ledger.observe(item.current_period_start, item.current_period_end)
        if self.under_way:
            return  # Stripe failed, and the withdrawal runs again
        books = self.read_books()
        billed = books.received + books.invoiced + books.waiting + self.forgiven
        value = self.ledger.value(item.current_period_end)
        assert billed >= value - self.ledger.rounded, f"{billed} received or owed for {float(value)}"
        if not self.forgiven:
            assert billed <= value + self.ledger.rounded, f"{billed} received or owed for {float(value)}"
        used = self.ledger.value(int(self.stage.clock.now))
        if books.is_crediting:
            return
        # A draft may still be paid. Once it is declined, its credit must be gone.
        unused = max(Fraction(0), books.received + self.forgiven - used) + books.drafted
        assert -books.waiting <= unused + self.ledger.rounded, f"{-books.waiting} credited of {float(unused)}"

    def teardown(self) -> None:
        if hasattr(self, "stage"):
            self.stage.close()


CHOSEN = drawn(examples=2, steps=25)


every_settlement_and_terms = pytest.mark.parametrize(
    ("charge", "terms"),
    [
        pytest.param(charge, terms, id=f"{charge}, {name}")
        for charge in ("on_billing_date", "now")
        for name, terms in {
            "no terms": Terms(),
            "discount": Terms(percent_off=20),
            "tax on top": Terms(taxes="exclusive"),
            "discount and tax included": Terms(percent_off=20, taxes="inclusive"),
        }.items()
    ],
)


@every_settlement_and_terms
def test_credited_money_was_received(charge: Charge, terms: Terms, database_url: str) -> None:
    machine = type("Chosen", (ReceivedMoney,), {"database_url": database_url, "charge": charge, "terms": terms})
    run_state_machine_as_test(machine, settings=CHOSEN)


@every_settlement_and_terms
@pytest.mark.parametrize("left", [0, 1])
def test_unpaid_time_is_credited_nowhere(charge: Charge, terms: Terms, left: int, database_url: str) -> None:
    machine = type("Unpaid", (ReceivedMoney,), {"database_url": database_url, "charge": charge, "terms": terms})()
    try:
        machine.enrol()
        machine.money_is_conserved()  # notes the period
        machine.fall_behind(after=3 * DAY, quantity=7)
        machine.change(left, quoted=True)
        machine.money_is_conserved()
        machine.wait(int(machine.ledger.periods[-1][1] - machine.stage.clock.now) + 2 * HOUR)
        machine.money_is_conserved()
    finally:
        machine.teardown()
