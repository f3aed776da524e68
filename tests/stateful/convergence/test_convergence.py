"""The tables end equal to Stripe's state, in whatever way the deliveries fail.

A real gateway runs on a real database, and the sandbox stands in for Stripe. The state machine plays the network, the
workers, the people at Stripe's dashboard and the gateway's users. At the end of each example, the test compares all
tables with those that ``expected`` derives from Stripe's own JSON. This runs a longer search::

    STATEFUL_EXAMPLES=500 STATEFUL_STEPS=40 pytest tests/stateful/convergence/test_convergence.py -n0
"""

import sys

import pytest
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from gateway.db.models import PaymentMethod, UpcomingInvoice
from gateway.services.reconciliation import drift
from tests.stateful.convergence.expected import Expected
from tests.stateful.convergence.found import check_changes, check_history, check_inbox, check_tables, rows
from tests.stateful.convergence.holders import Holders
from tests.stateful.convergence.workers import POLLING, Workers
from tests.support.json_types import Json
from tests.support.machines import drawn

ONLY_IN_EVENTS = ("invoices", "upcoming_invoices")
"""The drift walk does not compare all of these tables. Stripe lists the events that update them for 30 days."""


class Delivered(Holders):
    """Every event arrives eventually, so no other recovery is needed."""

    def teardown(self) -> None:
        try:
            if sys.exc_info()[0] is None and hasattr(self, "random"):
                self.settle()
                self.end()
                self.check()
                self.check_charges("org_1", "renew")
        finally:
            if hasattr(self, "stage"):
                self.stage.close()

    def end(self) -> None:
        """Heal the losses."""

    def check(self) -> None:
        expected = Expected(self.stage)
        tables = self.comparable(expected)
        check_inbox(self.stage)
        check_tables(self.stage, expected, tables)
        check_history(self.stage, expected)
        check_changes(self.stage)

    def comparable(self, expected: Expected) -> dict[str, dict[str, Json]]:
        """Return the expected tables without the contents of upcoming invoices that are unreadable or outdated.

        The gateway replaces such an invoice by a preview from a later time, or by none if the subscription is to end.
        """
        here = {row["subscription_id"] for row in rows(self.stage, UpcomingInvoice)}
        announced = expected.tables["upcoming_invoices"]
        unsure = self.misread | expected.changed_since_announced()
        read = {key: row for key, row in announced.items() if key not in unsure}
        replaced: dict[str, Json] = {key: {} for key in announced.keys() & unsure & here}
        return expected.tables | {"upcoming_invoices": read | replaced}


class Lost(Delivered):
    """Deliveries are lost, and the gap walk recovers them from Stripe's list of events."""

    loses = True

    def end(self) -> None:
        self.stage.wait(10)
        self.reconcile()
        self.settle_without_network()

    def settle_without_network(self) -> None:
        """Run all jobs without letting time pass, except those that wait for a later time by design."""
        while waiting := [each for each in self.runnable(self.stage.jobs()) if each.task not in POLLING]:
            self.do(waiting[0])


class LostForGood(Lost):
    """Deliveries are lost, and Stripe's list no longer has the events. The drift walk compares the lists of objects."""

    def can_be_lost(self, event: Json) -> bool:
        return event["data"]["object"]["object"] in ("subscription", "customer", "payment_method")

    def reconcile(self) -> None:
        for _ in drift.walk(self.stage.gateway):
            pass

    def comparable(self, expected: Expected) -> dict[str, dict[str, Json]]:
        """Return what the drift walk compares. It finds an unknown payment method only where Stripe names it."""
        here = {row["id"] for row in rows(self.stage, PaymentMethod)}
        methods = expected.tables["payment_methods"]
        found = {key: row for key, row in methods.items() if key in here | expected.named_methods()}
        return {key: table for key, table in expected.tables.items() if key not in ONLY_IN_EVENTS} | {
            "payment_methods": found
        }


MACHINES = {"delivered": Delivered, "lost": Lost, "lost for good": LostForGood}


@pytest.mark.parametrize("fate", MACHINES)
def test_the_tables_end_equal_to_stripes_state(fate: str, database_url: str) -> None:
    machine: type[RuleBasedStateMachine] = type(fate, (MACHINES[fate],), {"database_url": database_url})
    run_state_machine_as_test(machine, settings=drawn(examples=2, steps=25))
    print(fate, dict(Workers.calls))  # noqa: T201 - `-rP` shows how many calls the chaos costs
