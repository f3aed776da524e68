"""All objects of the account, as the API lists them."""

from collections import defaultdict
from dataclasses import dataclass

from tests.stateful.sandbox_money.account import WatchedAccount
from tests.support.json_types import Json


@dataclass(frozen=True)
class Books:
    """Objects by id from old to new, lines by invoice, and balance transactions by customer."""

    customers: dict[str, Json]
    subscriptions: dict[str, Json]
    invoices: dict[str, Json]
    lines: dict[str, list[Json]]
    invoice_items: dict[str, Json]
    intents: dict[str, Json]
    charges: dict[str, Json]
    cards: dict[str, Json]
    moved: dict[str, list[Json]]
    credit_notes: dict[str, Json]

    def of(self, customer: str, objects: dict[str, Json]) -> list[Json]:
        """Return the objects of one customer."""
        return [obj for obj in objects.values() if obj["customer"] == customer]


def read(world: WatchedAccount) -> Books:
    customers = _by_id(world.read("/v1/customers", test_clock=world.clock))
    invoices = _by_id(world.read("/v1/invoices"))
    moved = {each: world.read(f"/v1/customers/{each}/balance_transactions") for each in customers}
    cards: dict[str, Json] = {}
    for customer in customers:
        cards |= _by_id(world.read(f"/v1/customers/{customer}/payment_methods"))
    return Books(
        customers=customers,
        subscriptions=_by_id(world.read("/v1/subscriptions", test_clock=world.clock, status="all")),
        invoices=invoices,
        lines={invoice_id: world.lines(invoice) for invoice_id, invoice in invoices.items()},
        invoice_items=_by_id(world.read("/v1/invoiceitems")),
        intents=_by_id(world.read("/v1/payment_intents")),
        charges=_by_id(world.read("/v1/charges")),
        cards=cards,
        moved=moved,
        credit_notes=_by_id(world.read("/v1/credit_notes")),
    )


def _by_id(rows: list[Json]) -> dict[str, Json]:
    return {row["id"]: row for row in reversed(rows)}


def renewals(books: Books) -> dict[str, list[Json]]:
    """Return the renewals' lines for whole periods, by subscription item."""
    found: dict[str, list[Json]] = defaultdict(list)
    for invoice_id, lines in books.lines.items():
        for line in lines if books.invoices[invoice_id]["billing_reason"] == "subscription_cycle" else []:
            details = line["parent"]["subscription_item_details"]
            if details and not details["invoice_item"]:
                found[details["subscription_item"]].append(line)
    return found
