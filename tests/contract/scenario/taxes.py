from contextlib import suppress
from typing import Any

import stripe

from tests.contract.stage import ScenarioAccount
from tests.support.clock import MONTH


def tax_rates_tax_invoices(stage: ScenarioAccount) -> None:
    rates = stage.v1.tax_rates
    added = rates.create({"display_name": "VAT", "percentage": 19, "inclusive": False, "tax_type": "vat"})
    within = rates.create({"display_name": "GST", "percentage": 7.5, "inclusive": True})
    rates.update(added.id, {"description": "Germany", "metadata": {"a": "b"}})
    rates.retrieve(added.id)
    rates.list({"inclusive": False})
    clock = stage.test_clock()
    customer = stage.on_clock(clock)
    items: Any = [{"price": stage.price(3000).id, "tax_rates": [within.id]}, {"price": stage.price(1000).id}]
    subscription = stage.v1.subscriptions.create(
        {"customer": customer.id, "items": items, "default_tax_rates": [added.id]}
    )
    stage.v1.subscription_items.update(subscription.items.data[0].id, {"quantity": 2})
    stage.v1.invoices.create_preview({"subscription": subscription.id})
    stage.advance(clock, stage.standing(clock).frozen_time + MONTH + 7200)
    invoice = stage.v1.invoices.list({"customer": customer.id}).data[0]
    line = next(line.id for line in invoice.lines.data if line.amount == 1000)
    credited: Any = {"type": "invoice_line_item", "invoice_line_item": line, "amount": 500}
    stage.v1.credit_notes.create({"invoice": str(invoice.id), "lines": [credited], "credit_amount": 595})


def automatic_tax_needs_a_location(stage: ScenarioAccount) -> None:
    customer = stage.customer()
    with suppress(stripe.InvalidRequestError):
        stage.subscribe(customer.id, stage.price(1000).id, automatic_tax={"enabled": True})
    unlocated = stage.v1.invoices.create({"customer": customer.id, "automatic_tax": {"enabled": True}})
    stage.v1.invoices.retrieve(str(unlocated.id))
    stage.v1.customers.retrieve(customer.id, {"expand": ["tax"]})
    stage.v1.customers.update(customer.id, {"address": {"country": "DE"}})
    stage.v1.customers.retrieve(customer.id, {"expand": ["tax"]})
    stage.subscribe(customer.id, stage.price(1000).id, automatic_tax={"enabled": True})
    stage.v1.customers.update(customer.id, {"address": {"country": "US"}})
    stage.subscribe(customer.id, stage.price(1000).id, automatic_tax={"enabled": True})
