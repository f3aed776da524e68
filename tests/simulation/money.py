"""The money of each customer, calculated from the plans in force and compared with what Stripe has billed."""

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from tests.support.json_types import Json

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

OVER = ("canceled", "incomplete_expired", "incomplete")


def check_money(world: "Simulation") -> None:
    """Check the books of each customer, in cents."""
    for customer in list(world.stripe.list_all("customer")):
        check_received(world, customer["id"])
        if customer["id"] not in world.others.meddled:
            check_billed(world, customer["id"])


def check_received(world: "Simulation", customer: str) -> None:
    """Check that invoices count exactly what was received as paid, and that each is paid, owed or given up."""
    invoices = list(world.stripe.list_all("invoice", customer))
    received = sum(each["amount_captured"] for each in world.stripe.list_all("charge", customer) if each["paid"])
    elsewhere = world.others.elsewhere[customer]
    paid = sum(each["amount_paid"] for each in invoices)
    for each in invoices:
        if each["status"] != "draft":
            assert each["amount_due"] == each["amount_paid"] + each["amount_remaining"], f"{each['id']} does not add up"
    assert received + elsewhere == paid, f"{customer}: {received} received, {elsewhere} elsewhere, invoices say {paid}"


def check_billed(world: "Simulation", customer: str) -> None:
    """Check that what was billed for plans is what they were worth, apart from the rounding of each amount.

    The gateway alone voids invoices here, which were for changes that did not happen.
    """
    value, changes = Fraction(0), 0
    for subscription in world.stripe.list_all("subscription", customer):
        worth = Worth(world, subscription["id"])
        value += worth.value
        changes += worth.changes
    invoices = [each for each in world.stripe.list_all("invoice", customer) if each["status"] != "void"]
    billed = sum(each["total"] for each in invoices) - sum_of_usage(world, invoices)
    billed -= sum(
        each["total"] for each in world.stripe.list_all("credit_note", customer) if each["status"] == "issued"
    )
    billed += sum(
        each["amount"]
        for each in world.stripe.list_all("invoiceitem", customer)
        if each["invoice"] is None and "usage_of" not in each["metadata"]
    )
    assert abs(billed - value) <= 2 + 3 * changes, f"{customer}: {billed} billed for plans worth {float(value)}"


def sum_of_usage(world: "Simulation", invoices: list[Json]) -> int:
    """Return what invoices bill for usage."""
    store, total = world.stripe.engine.store, 0
    for invoice in invoices:
        lines = store.recall("lines", invoice["id"]) or {"data": []}  # the invoice itself shows only ten of them
        total += sum(line["amount"] for line in lines["data"] if is_usage(world, line))
    return total


def is_usage(world: "Simulation", line: Json) -> bool:
    details = (line["pricing"] or {}).get("price_details")
    price = world.stripe.engine.store.find("price", details["price"]) if details else None
    metered = bool(price and price["recurring"] and price["recurring"]["usage_type"] == "metered")
    return metered or "usage_of" in line["metadata"]


@dataclass
class Worth:
    """What the plans of one subscription were worth, from the states that Stripe's events show."""

    world: "Simulation"
    subscription: str

    def __post_init__(self) -> None:
        states = self.read_states()
        self.changes = len(states)
        self.value = Fraction(0)
        for (begin, state), (end, _) in zip(states, [*states[1:], (None, {})], strict=True):
            if state["status"] not in ("trialing", *OVER):
                self.value += worth_of(state, begin, end)

    def read_states(self) -> list[tuple[int, Json]]:
        """Return each state with the second from which it was in force, without those of the same second."""
        found: dict[int, Json] = {}
        for event in self.world.stripe.events:
            if event["data"]["object"].get("id") == self.subscription:
                found[event["created"]] = event["data"]["object"]
        return sorted(found.items())


def worth_of(state: Json, begin: int, end: int | None) -> Fraction:
    """Return what the licensed items cost from ``begin`` to ``end``, or to the end of their period."""
    total = Fraction(0)
    for item in state["items"]["data"]:
        if item["price"]["recurring"]["usage_type"] != "licensed":
            continue
        start, over = item["current_period_start"], item["current_period_end"]
        seconds = (over if end is None else min(end, over)) - max(begin, start)
        total += Fraction(item["price"]["unit_amount"] * item["quantity"] * max(seconds, 0), over - start)
    return total
