"""An invoice shows its lines, its receipt and what was refunded."""

import requests

from gateway.db.models import Invoice
from tests.support.api import ApiClient
from tests.support.payment_methods import customer_of
from tests.support.world import World


def bill(world: World, items: int) -> str:
    """Create an invoice of that many items at Stripe and return its id."""
    customer = customer_of(world)
    for number in range(items):
        world.stripe.v1.invoice_items.create({"customer": customer, "amount": 100 + number, "currency": "usd"})
    invoice = world.stripe.v1.invoices.create(
        {"customer": customer, "auto_advance": False, "pending_invoice_items_behavior": "include"}
    )
    world.stripe.v1.invoices.finalize_invoice(invoice.id, {"auto_advance": False})
    world.settle()
    return invoice.id


def test_all_lines_of_a_long_invoice_are_shown(world: World, api: ApiClient) -> None:
    invoice = bill(world, 12)
    assert {row.id: row.lines for row in world.rows(Invoice)}[invoice] is None  # the events showed ten of them
    shown = api.ok("GET", f"/invoices/{invoice}")
    assert sum(each["amount"] + each["discount"] + each["tax"] for each in shown["lines"]) == shown["total"]
    assert {each["kind"] for each in shown["lines"]} == {"item"}
    assert len(shown["lines"]) == 12
    world.fault("error_before", times=100)
    assert api.ok("GET", f"/invoices/{invoice}") == shown


def test_receipt_shows_what_was_refunded(world: World, api: ApiClient) -> None:
    invoice = bill(world, 2)
    assert api.ok("GET", f"/invoices/{invoice}/receipt") == {"receipt_url": None}
    assert api.ok("POST", f"/invoices/{invoice}/pay")["amount_refunded"] == 0
    [charge] = world.stripe.v1.charges.list().data
    world.stripe.v1.refunds.create({"charge": charge.id, "amount": 50})
    world.settle()
    assert api.ok("GET", f"/invoices/{invoice}")["amount_refunded"] == 50
    listed = {each["id"]: each["amount_refunded"] for each in api.ok("GET", "/invoices")["data"]}
    assert listed[invoice] == 50
    url = api.ok("GET", f"/invoices/{invoice}/receipt")["receipt_url"]
    assert "$0.50" in requests.get(url, timeout=5).text


def test_credit_balance_is_shown(world: World, api: ApiClient) -> None:
    customer = customer_of(world)
    world.stripe.v1.customers.update(customer, {"balance": -750})
    world.settle()
    assert api.ok("GET", "/subscription")["credit_balance"] == 750
