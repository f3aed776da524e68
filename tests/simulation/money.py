"""The money of each customer at Stripe."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation


def check_money(world: "Simulation") -> None:
    """Check the books of each customer, in cents."""
    for customer in list(world.stripe.list_all("customer")):
        check_received(world, customer["id"])


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
