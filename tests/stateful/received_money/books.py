"""The money of one organization: what Stripe holds, and what the plan was worth.

``Books`` reads Stripe through the SDK. ``Ledger`` knows only the price, the periods and the test's own changes.
"""

from dataclasses import dataclass, field
from fractions import Fraction

from gateway.catalog import TaxBehavior
from tests.support.stripe_account import StripeAccount

TAX = Fraction(19, 100)


@dataclass(frozen=True)
class Terms:
    """What sales gave the subscription."""

    percent_off: int = 0
    taxes: TaxBehavior | None = None

    @property
    def on_top(self) -> Fraction:
        """Return the share of the tax that comes on top."""
        return TAX if self.taxes == "exclusive" else Fraction(0)

    def total(self, price: int) -> int:
        """Return what a price costs with its discount and tax."""
        return int(price * Fraction(100 - self.percent_off, 100) * (1 + self.on_top))


@dataclass(frozen=True)
class Books:
    """What Stripe holds of one customer, in cents."""

    received: int
    invoiced: int
    """What drafts, open and written-off invoices still ask for."""
    drafted: int
    """The part of it on drafts that ask for money. Their payment is still to come."""
    is_crediting: bool
    """Whether a draft gives money back. What it credits is withdrawn once Stripe has finalized it."""
    waiting: Fraction
    """What the next invoice will take up: the pending items with their taxes, and the balance. A credit is negative."""

    @classmethod
    def read(cls, account: StripeAccount, customer: str, on_top: Fraction) -> "Books":
        """Read the books from Stripe."""
        v1 = account.v1
        charges = v1.charges.list({"customer": customer, "limit": 100}).auto_paging_iter()
        invoices = list(v1.invoices.list({"customer": customer, "limit": 100}).auto_paging_iter())
        items = v1.invoice_items.list({"customer": customer, "pending": True, "limit": 100}).auto_paging_iter()
        pending = sum(each.amount for each in items) * (1 + on_top)
        drafts = [each.total for each in invoices if each.status == "draft"]
        owed = sum(each.amount_remaining for each in invoices if each.status in ("open", "uncollectible"))
        return cls(
            received=sum(each.amount for each in charges if each.paid),
            invoiced=owed + sum(drafts),
            drafted=sum(total for total in drafts if total > 0),
            is_crediting=any(total < 0 for total in drafts),
            waiting=pending + (v1.customers.retrieve(customer).balance or 0),
        )


@dataclass
class Ledger:
    """The value of the plan over time, in cents."""

    price: int
    began: list[tuple[int, int]] = field(default_factory=list)
    """The second from which each quantity was in force. Quantity 0 is Free."""
    periods: list[tuple[int, int]] = field(default_factory=list)
    roundings: int = 4
    """How many amounts Stripe may round by up to half a cent because of a change. Each tax is rounded by itself."""
    rounded: int = 0
    """How many amounts Stripe may have rounded by up to half a cent."""

    def change(self, second: int, quantity: int) -> None:
        """Note another quantity from ``second`` on."""
        self.began.append((second, quantity))
        self.rounded += self.roundings

    def observe(self, start: int, end: int) -> None:
        """Note a billing period."""
        if (start, end) not in self.periods:
            self.periods.append((start, end))

    def value(self, until: int) -> Fraction:
        """Return what the plan was worth until a second, if its present quantity stays until then."""
        ends = [second for second, _ in self.began[1:]] + [until]
        total = Fraction(0)
        for (begin, quantity), end in zip(self.began, ends, strict=True):
            for start, over in self.periods:
                shared = min(end, over, until) - max(begin, start)
                total += Fraction(self.price * quantity * max(shared, 0), over - start)
        return total
