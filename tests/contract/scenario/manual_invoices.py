from tests.contract.stage import ScenarioAccount


def a_draft_is_changed_and_dropped(stage: ScenarioAccount) -> None:
    invoices = stage.v1.invoices
    customer = stage.customer()
    stage.v1.invoice_items.create({"customer": customer.id, "amount": 700, "currency": "usd"})
    draft = invoices.create({"customer": customer.id, "pending_invoice_items_behavior": "include"})
    invoices.update(draft.id, {"description": "thanks", "auto_advance": True, "metadata": {"a": "b"}})
    invoices.delete(draft.id)


def an_invoice_is_sent_and_written_off(stage: ScenarioAccount) -> None:
    invoices = stage.v1.invoices
    customer = stage.customer()
    stage.v1.invoice_items.create({"customer": customer.id, "amount": 700, "currency": "usd"})
    draft = invoices.create(
        {
            "customer": customer.id,
            "collection_method": "send_invoice",
            "days_until_due": 7,
            "pending_invoice_items_behavior": "include",
        }
    )
    invoices.send_invoice(draft.id)
    invoices.mark_uncollectible(draft.id)


def a_subscription_is_invoiced_by_hand(stage: ScenarioAccount) -> None:
    subscription = stage.subscribe(stage.customer().id, stage.price(1000).id)
    stage.swap(subscription, stage.price(9000).id)
    draft = stage.v1.invoices.create(
        {"subscription": subscription.id, "pending_invoice_items_behavior": "include", "auto_advance": True}
    )
    stage.v1.invoices.finalize_invoice(draft.id)
    stage.v1.invoices.pay(draft.id)
