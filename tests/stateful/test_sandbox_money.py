"""A state machine: whatever is done to the sandbox, in whatever order and at whatever time, its books stay right.

The rules are what an integration does to Stripe; the invariants, read back through the API after every one of them, are
what must hold of any Stripe account. A longer search than the ordinary run's::

    STATEFUL_EXAMPLES=2000 STATEFUL_STEPS=40 pytest tests/stateful -n0
"""

import os
import sys

from hypothesis import HealthCheck, settings
from hypothesis.stateful import invariant

from tests.sandbox.support import START, Json
from tests.stateful import billed, credit_notes, invoices, periods
from tests.stateful.books import Books, read, renewals
from tests.stateful.customers import HOUR
from tests.stateful.history import same
from tests.stateful.in_force import InForce
from tests.stateful.stories import Stories

STEPS_BETWEEN = 5
"""The books are read and checked after so many steps, and at the end."""


class Account(Stories):
    """The rules stand in its base classes; here is what holds after each of them."""

    def __init__(self) -> None:
        super().__init__()
        self.in_force = InForce(self.world)
        self.causes = self.checked = 0
        self.steps = 0
        self.books: Books

    @invariant()
    def what_happens_is_right(self) -> None:
        """What is told, after every step; all the books, which take much longer to read, after some."""
        self.world.listen()
        for event in self.world.events[self.causes :]:
            self._check_cause(event)
        self.causes = len(self.world.events)
        for change in self.world.history.changes[self.checked :]:
            invoices.check_status(change)
            invoices.check_next_try(change)
            periods.check_next(change)
        self.checked = len(self.world.history.changes)
        self.steps += 1
        if self.steps % STEPS_BETWEEN == 0:
            self.the_books_are_right()

    def teardown(self) -> None:
        """An example that went well so far ends with its renewals, so that all that is pending is billed."""
        try:
            if sys.exc_info()[0] is None and self.customer:
                for _ in range(2):
                    self._renew(HOUR + 1)
                self.what_happens_is_right()
                self.the_books_are_right()
        finally:
            self.sandbox.close()

    def the_books_are_right(self) -> None:
        self.books = read(self.world)
        self.events_tell_everything()
        self.invoices_are_the_sum_of_their_lines()
        self.balances_add_up()
        self.no_money_appears_or_vanishes()
        self.each_renewal_comes_once()
        self.every_second_costs_what_was_in_force()
        self.every_unit_used_is_billed_once()

    def events_tell_everything(self) -> None:
        """Each change has its event, and they say who caused it; folded, they are the objects as they stand."""
        known = self.world.history.known
        for kind in (
            "customers",
            "subscriptions",
            "invoices",
            "invoice_items",
            "intents",
            "charges",
            "cards",
            "credit_notes",
        ):
            for obj in getattr(self.books, kind).values():
                # Stripe has no invoiceitem.updated, and no event for the new amount of an intent.
                untold = {"invoice_items": ("invoice",), "intents": ("amount",)}.get(kind, ())
                told = known.get(obj["id"], {}) | {name: obj[name] for name in untold}
                assert same(told, obj), (known.get(obj["id"]), obj)
        listed = {
            "customer": self.books.customers,
            "subscription": self.books.subscriptions,
            "invoice": self.books.invoices,
            "invoiceitem": self.books.invoice_items,
            "credit_note": self.books.credit_notes,
        }
        for obj in known.values():
            assert obj["id"] in listed.get(obj["object"], [obj["id"]]), f"gone without an event: {obj}"

    def _check_cause(self, event: Json) -> None:
        request = event["request"]
        if request["id"] is None:
            assert request["idempotency_key"] is None
            assert event["created"] > START - 1
        elif operation := self.world.operations.get(request["id"]):
            assert request["idempotency_key"] == operation.key
            assert event["created"] == operation.at

    def invoices_are_the_sum_of_their_lines(self) -> None:
        invoices.check_sums(self.books)
        invoices.check_items(self.books)
        credit_notes.check(self.books)

    def balances_add_up(self) -> None:
        invoices.check_balances(self.books)

    def no_money_appears_or_vanishes(self) -> None:
        invoices.check_money(self.books, {self.customer: self.set_by_hand})
        invoices.check_intents(self.books)

    def each_renewal_comes_once(self) -> None:
        """No item is renewed twice for one period; that none is left out, ``every_second_costs_what_was_in_force``."""
        for lines in renewals(self.books).values():
            starts = [(line["period"]["start"], line["description"]) for line in lines]
            assert len(starts) == len(set(starts)), lines

    def every_second_costs_what_was_in_force(self) -> None:
        self.in_force.follow()
        billed.check(self.world, self.books, self.in_force)

    def every_unit_used_is_billed_once(self) -> None:
        self.usage.check(self.books)


Account.TestCase.settings = settings(
    max_examples=int(os.environ.get("STATEFUL_EXAMPLES", "60")),
    stateful_step_count=int(os.environ.get("STATEFUL_STEPS", "12")),
    derandomize="STATEFUL_EXAMPLES" not in os.environ,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestSandboxMoney = Account.TestCase
