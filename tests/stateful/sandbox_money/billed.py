"""Compares what Stripe billed for each licensed item with what was due, second by second."""

from collections import defaultdict
from collections.abc import Iterator

from gateway.sandbox.currencies import step
from tests.stateful.sandbox_money.account import WatchedAccount
from tests.stateful.sandbox_money.books import Books
from tests.stateful.sandbox_money.in_force import InForce, origin
from tests.stateful.sandbox_money.rates import Rates, intervals
from tests.support.json_types import Json


def check(world: WatchedAccount, books: Books, in_force: InForce) -> None:
    """Check that Stripe billed what was due.

    Each line may be off by its rounding, which is half a minor unit (5 minor units in currencies with three decimals).
    """
    loose = {world.operations[row_origin].params["subscription"] for row_origin, _row in _loose(world, books)}
    owners = _licensed(world)
    billed: dict[str, Rates] = defaultdict(Rates)
    due: dict[str, Rates] = defaultdict(Rates)
    voided: dict[str, Rates] = defaultdict(Rates)
    for item, row in _rows(world, books, in_force):
        if item in owners:
            billed[_account(item, owners, loose)].spread(row["period"]["start"], row["period"]["end"], row["amount"])
    for row_origin, row in _loose(world, books):
        account = world.operations[row_origin].params["subscription"]
        billed[account].spread(row["period"]["start"], row["period"]["end"], row["amount"])
    for item in owners:
        due[_account(item, owners, loose)].add(in_force.due[item])
        voided[_account(item, owners, loose)].add(in_force.voided[item])
        voided[_account(item, owners, loose)].add(in_force.given[item])
    for account, wanted in due.items():
        owner = account if account in books.subscriptions else owners[account]
        _compare(account, billed[account], wanted, voided[account], step(books.subscriptions[owner]["currency"]))


def _compare(account: str, billed: Rates, due: Rates, voided: Rates, precision: int) -> None:
    for start, end in intervals(billed, due, voided):
        charged, wanted = billed.over(start, end), due.over(start, end) + voided.over(start, end)
        allowed = (billed.within(start, end) + voided.within(start, end)) * precision / 2
        assert abs(charged - wanted) <= allowed, (
            f"{account}, {start} to {end}: {float(charged)} billed, {float(wanted)} due"
        )


def _account(item: str, owners: dict[str, str], loose: set[str]) -> str:
    """Return the item, or its subscription if some of the subscription's credits no longer name their item."""
    return owners[item] if owners[item] in loose else item


def _licensed(world: WatchedAccount) -> dict[str, str]:
    """Return the subscription of each licensed item that ever existed."""
    return {
        item["id"]: change.after["id"]
        for change in world.history.changes
        if change.after["object"] == "subscription"
        for item in change.after["items"]["data"]
        if "quantity" in item
    }


def _rows(world: WatchedAccount, books: Books, in_force: InForce) -> Iterator[tuple[str, Json]]:
    """Yield the billed rows with their subscription items, without void rows and rows that wait for their payment."""
    for invoice_id, lines in books.lines.items():
        for line in lines if books.invoices[invoice_id]["status"] != "void" else []:
            details = line["parent"]["subscription_item_details"]
            if details and in_force.counts(origin(world, line)):
                yield details["subscription_item"], line
    for item in books.invoice_items.values():
        if item["invoice"] is None and item["parent"]:
            yield item["parent"]["subscription_details"]["subscription_item"], item


def _loose(world: WatchedAccount, books: Books) -> Iterator[tuple[str, Json]]:
    """Yield the credits that a canceled subscription left to its customer, with the requests that caused them."""
    for change in world.history.changes:
        item = change.after
        if item["object"] == "invoiceitem" and item["proration"] and not item["parent"] and change.request:
            invoice = books.invoice_items[item["id"]]["invoice"]
            if invoice is None or books.invoices[invoice]["status"] != "void":
                yield change.request, item
