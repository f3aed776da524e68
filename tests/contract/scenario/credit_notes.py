from contextlib import suppress
from typing import Any

import stripe

from tests.contract.stage import ScenarioAccount


def an_open_invoice_is_credited_until_it_is_paid(stage: ScenarioAccount) -> None:
    notes = stage.v1.credit_notes
    customer = stage.customer("pm_card_chargeCustomerFail")
    invoice = stage.invoice(stage.subscribe(customer.id, stage.price(1000).id, quantity=3))
    line = invoice.lines.data[0].id
    by_quantity: Any = {
        "invoice": invoice.id,
        "lines": [{"type": "invoice_line_item", "invoice_line_item": line, "quantity": 1}],
        "reason": "order_change",
    }
    notes.preview(by_quantity)
    notes.preview_lines.list(by_quantity)
    note = notes.create(by_quantity)
    notes.update(note.id, {"memo": "Sorry", "metadata": {"a": "b"}})
    notes.retrieve(note.id, {"expand": ["invoice", "customer"]})
    notes.line_items.list(note.id)
    notes.void_credit_note(note.id)
    custom: Any = {"type": "custom_line_item", "description": "Courtesy", "quantity": 1, "unit_amount": 2960}
    notes.create({"invoice": invoice.id, "lines": [custom]})
    notes.list({"invoice": invoice.id})


def a_paid_invoice_is_credited_to_the_balance(stage: ScenarioAccount) -> None:
    customer = stage.customer()
    invoice = stage.invoice(stage.subscribe(customer.id, stage.price(1000).id))
    note = stage.v1.credit_notes.create(
        {"invoice": invoice.id, "amount": 1000, "credit_amount": 900, "out_of_band_amount": 100}
    )
    expand = ["customer_balance_transaction.credit_note"]
    stage.v1.credit_notes.retrieve(note.id, {"expand": expand})
    with suppress(stripe.InvalidRequestError):
        stage.v1.credit_notes.create({"invoice": invoice.id, "amount": 1, "refund_amount": 1})
    again = stage.invoice(stage.subscribe(customer.id, stage.price(2000).id))
    refunded = stage.v1.credit_notes.create({"invoice": str(again.id), "amount": 500, "refund_amount": 500})
    stage.v1.credit_notes.retrieve(refunded.id, {"expand": ["refunds.refund"]})


def an_uncollectible_invoice_is_credited_paid_or_void(stage: ScenarioAccount) -> None:
    customer = stage.customer("pm_card_chargeCustomerFail")
    for _ in range(3):
        invoice = stage.invoice(stage.subscribe(customer.id, stage.price(1000).id))
        stage.v1.invoices.mark_uncollectible(invoice.id)
    credited, paid, voided = (row.id for row in stage.v1.invoices.list({"status": "uncollectible"}).data)
    stage.v1.credit_notes.create({"invoice": credited, "amount": 1000})
    stage.v1.invoices.pay(paid, {"paid_out_of_band": True})
    stage.v1.invoices.void_invoice(voided)
