"""Checks the bills for metered items. Each reported unit counts once, on the line for its time."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal

from tests.stateful.sandbox_money.account import WatchedAccount
from tests.stateful.sandbox_money.books import Books
from tests.support.json_types import Json

AHEAD = 300
"""The seconds by which a report may be early. The bill for a removed item includes early reports."""


@dataclass(frozen=True)
class UsageReport:
    """Report ``number``: ``value`` units used at ``timestamp``. The history had ``place`` changes at that time."""

    number: int
    customer: str
    timestamp: int
    value: int
    place: int


@dataclass(frozen=True)
class Billed:
    """A bill for ``quantity`` units of an item with ``start`` <= time < ``until``, at ``place`` in the history."""

    item: str
    start: int
    until: int
    place: int
    quantity: Decimal


@dataclass
class Usage:
    """All reports, and the check of their bills."""

    world: WatchedAccount
    reports: list[UsageReport] = field(default_factory=list)

    def check(self, books: Books) -> None:
        owners = {
            item["id"]: change.after["customer"]
            for change in self.world.history.changes
            if change.after["object"] == "subscription"
            for item in change.after["items"]["data"]
            if "quantity" not in item
        }
        counted: dict[str, set[UsageReport]] = defaultdict(set)
        rows = [row for row in [*self._in_items(), *self._on_invoices(books)] if row.item in owners]
        for row in sorted(rows, key=lambda row: row.place):
            opened = self._opened(row)
            units = {
                report
                for report in self.reports
                if report.customer == owners[row.item]
                and row.start <= report.timestamp < row.until
                and opened < report.place <= row.place
            } - counted[row.item]
            assert row.quantity == sum(report.value for report in units), (row, units)
            counted[row.item] |= units
        self._check_none_left_out(books)

    def _check_none_left_out(self, books: Books) -> None:
        """Check that each ended period of a metered item has a line, even with quantity 0. A trial has no line."""
        ends = {
            (line["parent"]["subscription_item_details"]["subscription_item"], line["period"]["end"])
            for lines in books.lines.values()
            for line in lines
            if line["parent"]["subscription_item_details"]
        }
        for change in self.world.history.changes:
            if change.after["object"] != "subscription" or change.request or not change.before:
                continue
            before = {item["id"]: item["current_period_end"] for item in change.before["items"]["data"]}
            for item in change.after["items"]["data"]:
                over = before.get(item["id"]) == item["current_period_start"] and "quantity" not in item
                if over and change.before["status"] not in {"trialing", "paused"}:
                    assert (item["id"], item["current_period_start"]) in ends, (item, ends)

    def _opened(self, row: Billed) -> int:
        """Return when the item got the row's price. Earlier reports do not belong to the row."""
        found, price = 0, None
        for place, change in enumerate(self.world.history.changes[: row.place]):
            if change.after["object"] == "subscription":
                prices = {item["id"]: item["price"]["id"] for item in change.after["items"]["data"]}
                if prices.get(row.item, price) != price:
                    found, price = place, prices[row.item]
        return found

    def _in_items(self) -> Iterator[Billed]:
        """Yield the usage that Stripe billed when an item was removed, including pending and deleted invoice items."""
        for place, change in enumerate(self.world.history.changes):
            item = change.after
            if item["object"] == "invoiceitem" and not change.deleted and item["parent"] and not item["proration"]:
                until = item["period"]["end"] + AHEAD + 1
                owner = item["parent"]["subscription_details"]["subscription_item"]
                yield Billed(owner, item["period"]["start"], until, place, Decimal(item["quantity_decimal"]))

    def _on_invoices(self, books: Books) -> Iterator[Billed]:
        """Yield the usage of whole periods. Reports are possible until the invoice is finalized."""
        for place, change in enumerate(self.world.history.changes):
            invoice = change.after
            if invoice["object"] != "invoice" or not _finalized(change.before, invoice):
                continue
            for line in books.lines[invoice["id"]]:
                details = line["parent"]["subscription_item_details"]
                if details and details["invoice_item"] is None:
                    until = line["period"]["end"] + self._is_final(books, invoice, details["subscription"])
                    quantity = Decimal(line["quantity_decimal"])
                    yield Billed(details["subscription_item"], line["period"]["start"], until, place, quantity)

    def _is_final(self, books: Books, invoice: Json, subscription_id: str) -> bool:
        """Return whether the subscription ended with this invoice. Then its last second counts as well."""
        made = next(change for change in self.world.history.changes if change.after["id"] == invoice["id"])
        if made.request:
            return bool(self.world.operations[made.request].kind in {"cancel", "pause"})
        subscription = books.subscriptions[subscription_id]
        ended = bool(subscription["ended_at"] == subscription["cancel_at"] == invoice["created"])
        return ended and bool(subscription["latest_invoice"] == invoice["id"])


def _finalized(before: Json | None, after: Json) -> bool:
    return bool(after["status"] != "draft" and (before or {"status": "draft"})["status"] == "draft")
