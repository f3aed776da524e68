"""The invoices that Stripe should make, and what it does until they are paid.

https://docs.stripe.com/invoicing/integration/workflow-transitions
"""

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from tests.support.clock import DAY
from tests.support.expected_prices import to_cents

Fact = tuple[Any, ...]
"""A notification, or what a test compares of an invoice."""
DRAFT = 3601
"""Seconds until Stripe finalizes a draft."""
RETRIES = (3 * DAY, 5 * DAY, 7 * DAY)
SMALLEST_CHARGE = 50
FOREVER = 1 << 40


@dataclass
class ExpectedInvoice:
    """An invoice. ``lines`` holds the amounts that are not 0."""

    created: int
    lines: list[int]
    total: int
    status: str = "draft"
    due: int = 0
    paid: int = 0
    attempts: int = 0
    next_step: int = FOREVER

    def shown(self) -> Fact:
        """Return what the test compares."""
        return self.created, sorted(self.lines), self.total, self.due, self.paid, self.status


@dataclass(kw_only=True)
class ExpectedInvoices:
    """The invoices of one organization, its balance and its card."""

    tax: Fraction
    card: str | None = None
    """``good``, or ``bad`` if it is declined."""
    balance: int = 0
    invoices: list[ExpectedInvoice] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    """The notifications."""

    def bill(self, now: int, lines: list[int], *, at_once: bool = False) -> None:
        """Draft an invoice. Stripe finalizes it an hour later, or immediately."""
        invoice = ExpectedInvoice(now, [each for each in lines if each], self.add_tax(lines), next_step=now + DRAFT)
        self.invoices.append(invoice)
        if at_once:
            self.collect(invoice, now)

    def add_tax(self, lines: list[int]) -> int:
        """Return the sum of the lines and of the tax on each of them."""
        return sum(each + to_cents(each * self.tax) for each in lines)

    def split_due(self, total: int) -> tuple[int, int]:
        """Return what is charged of a total, and the balance that is left."""
        due = total + self.balance
        return (due, 0) if due >= SMALLEST_CHARGE else (0, due)

    def collect(self, invoice: ExpectedInvoice, now: int) -> None:
        """Finalize the invoice, and charge the card. Plan the next attempt if it fails."""
        if invoice.status == "draft":
            invoice.status = "open"
            invoice.due, self.balance = self.split_due(invoice.total)
        invoice.next_step = FOREVER
        if not invoice.due or self.card == "good":
            self.settle(invoice)
            return
        if invoice.attempts < len(RETRIES):
            invoice.next_step = now + RETRIES[invoice.attempts]
        invoice.attempts += 1
        self.note_failure(invoice)

    def settle(self, invoice: ExpectedInvoice) -> None:
        """Mark the invoice as paid."""
        invoice.status, invoice.paid, invoice.next_step = "paid", invoice.due, FOREVER
        if invoice.total > 0:
            self.facts.append(("invoice.paid", invoice.total, invoice.due))

    def note_failure(self, invoice: ExpectedInvoice) -> None:
        """Do what follows from a declined payment."""
        raise NotImplementedError
