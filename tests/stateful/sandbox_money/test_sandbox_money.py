"""The sandbox's books stay correct under any operations, in any order and at any time.

The rules are an integration's operations on Stripe. The invariants must hold for every Stripe account, and the test
reads them through the API after the rules. This runs a longer search::

    STATEFUL_EXAMPLES=2000 STATEFUL_STEPS=40 pytest tests/stateful/sandbox_money -n0
"""

import sys

from hypothesis.stateful import invariant

from tests.stateful.sandbox_money import billed, credit_notes, invoices, periods
from tests.stateful.sandbox_money.books import Books, read, renewals
from tests.stateful.sandbox_money.customers import HOUR
from tests.stateful.sandbox_money.history import same
from tests.stateful.sandbox_money.in_force import InForce
from tests.stateful.sandbox_money.stories import Stories
from tests.support.clock import START
from tests.support.json_types import Json
from tests.support.machines import drawn

STEPS_BETWEEN = 5
"""The test reads and checks the books after this many steps, and at the end."""


class MoneyMachine(Stories):
    """The invariants after each rule. The base classes have the rules."""

    def __init__(self) -> None:
        super().__init__()
        self.in_force = InForce(self.world)
        self.causes = self.checked = 0
        self.steps = 0
        self.books: Books

    @invariant()
    def what_happens_is_right(self) -> None:
        """Check the events after every step, and the books after some, because reading them takes much longer."""
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
        """End a successful example with renewals, so that Stripe bills all pending items."""
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
        """Check that the events, folded together, give the current objects."""
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
            assert obj["id"] in listed.get(obj["object"], [obj["id"]]), f"the object vanished without an event: {obj}"

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
        """Check that no item renews twice for one period.

        ``every_second_costs_what_was_in_force`` checks that no renewal is missing.
        """
        for lines in renewals(self.books).values():
            starts = [(line["period"]["start"], line["description"]) for line in lines]
            assert len(starts) == len(set(starts)), lines

    def every_second_costs_what_was_in_force(self) -> None:
        self.in_force.follow()
        billed.check(self.world, self.books, self.in_force)

    def every_unit_used_is_billed_once(self) -> None:
        self.usage.check(self.books)


MoneyMachine.TestCase.settings = drawn(examples=10, steps=12)
TestSandboxMoney = MoneyMachine.TestCase
