"""Reads what Stripe has billed, and what a receiver was notified of."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import cached_property
from types import MappingProxyType
from typing import Any

from stripe import Invoice, InvoiceLineItem

from tests.support.clock import DAY
from tests.support.expected_invoices import Fact
from tests.support.json_types import Json
from tests.support.notified import NotifiedSystem
from tests.support.world import World

CALLS = "story_api_calls"
SHOWN: Mapping[str, Callable[[Json], Fact]] = MappingProxyType(
    {
        "plan.changed": lambda data: (data["after"]["plan"], data["after"]["quantity"]),
        "standing.changed": lambda data: (data["after"]["standing"],),
        "charges.calculated": lambda data: (data["amount_due"], to_unix(data["billing_date"])),
        "invoice.paid": lambda data: (data["total"], data["amount_paid"]),
        "payment.failed": lambda data: (data["amount_due"], data["attempt_count"]),
        "usage.alert": lambda data: (data["amount"], data["spend"]),
    }
)


class Outcome:
    """The end of a story that began at ``begins``, in unix seconds."""

    def __init__(self, world: World, konnect: NotifiedSystem, begins: int) -> None:
        self._world, self._konnect, self._begins = world, konnect, begins
        self._customers: dict[str, str] = dict(
            world.gateway.database.read("SELECT id, stripe_customer_id FROM organizations", {})
        )

    def read_invoices(self, organization: str) -> list[Fact]:
        """Return the organization's invoices, oldest first."""
        return [self._show_invoice(each) for each in reversed(self._list_invoices(organization))]

    def _list_invoices(self, organization: str) -> list[Invoice]:
        params: Any = {"customer": self._customers[organization], "limit": 100}
        return list(self._world.stripe.v1.invoices.list(params).auto_paging_iter())

    def _show_invoice(self, invoice: Invoice) -> Fact:
        amounts = sorted(each.amount for each in self._list_lines(invoice) if each.amount)
        return invoice.created, amounts, invoice.total, invoice.amount_due, invoice.amount_paid, invoice.status

    def _list_lines(self, invoice: Invoice) -> list[InvoiceLineItem]:
        if not invoice.lines.has_more:
            return list(invoice.lines.data)
        return list(self._world.stripe.v1.invoices.line_items.list(invoice.id, {"limit": 100}).auto_paging_iter())

    def read_facts(self, organization: str) -> list[Fact]:
        """Return what the receiver was notified of about the organization."""
        messages = [each for each in self._konnect.messages() if each["data"]["organization_id"] == organization]
        return [show_message(each) for each in messages]

    def count_sent(self, organization: str) -> int:
        """Return the API calls that Stripe has counted."""
        day = self._begins // DAY * DAY
        times = {"start_time": day, "end_time": day + 500 * DAY}
        params: Any = {"customer": self._customers[organization], **times}
        [found] = self._world.stripe.v1.billing.meters.event_summaries.list(self._meter, params).data
        return int(found.aggregated_value)

    def count_billed(self, organization: str) -> int:
        """Return the API calls that Stripe has billed, or will bill on the next invoice."""
        invoices = self._list_invoices(organization)
        subscription = self._world.plan_row(organization).subscription_id
        if subscription is not None:
            invoices.append(self._world.stripe.v1.invoices.create_preview({"subscription": subscription}))
        lines = (line for invoice in invoices for line in self._list_lines(invoice))
        return sum(line.quantity or 0 for line in lines if self._bills_calls(line))

    def _bills_calls(self, line: InvoiceLineItem) -> bool:
        details = line.pricing.price_details if line.pricing is not None else None
        return details is not None and details.price in self._prices_of_calls

    @cached_property
    def _meter(self) -> str:
        meters = self._world.stripe.v1.billing.meters.list({"limit": 100}).data
        return next(each.id for each in meters if each.event_name == CALLS)

    @cached_property
    def _prices_of_calls(self) -> set[str]:
        prices = self._world.stripe.v1.prices.list({"limit": 100}).data
        return {each.id for each in prices if each.recurring is not None and each.recurring.meter == self._meter}


def show_message(message: Json) -> Fact:
    """Return what the test compares of a notification."""
    show = SHOWN.get(message["type"])
    return (message["type"], *(show(message["data"]) if show is not None else ()))


def put_in_order(facts: Iterable[Fact]) -> list[Fact]:
    """Put a failed payment behind the status that follows from it. Stripe reports the two in any order."""
    found: list[Fact] = []
    for fact in facts:
        is_late = fact[0] in ("plan.changed", "standing.changed") and bool(found) and found[-1][0] == "payment.failed"
        found.insert(len(found) - is_late, fact)
    return found


def to_unix(moment: str) -> int:
    """Return a time of a notification in unix seconds."""
    return int(datetime.fromisoformat(moment).timestamp())
