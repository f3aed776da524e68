from contextlib import suppress
from typing import Any

import stripe

from tests.contract.stage import ScenarioAccount


def a_renewal_is_previewed(stage: ScenarioAccount) -> None:
    customer = stage.customer()
    subscription = stage.subscribe(customer.id, stage.price(1000).id)
    dear = stage.price(5000)
    stage.v1.invoices.create_preview({"subscription": subscription.id})
    item = subscription.items.data[0].id
    for behavior in ("create_prorations", "always_invoice"):
        details: Any = {"items": [{"id": item, "price": dear.id}], "proration_behavior": behavior}
        stage.v1.invoices.create_preview({"subscription": subscription.id, "subscription_details": details})
    new: Any = {"items": [{"price": dear.id}]}
    stage.v1.invoices.create_preview({"customer": customer.id, "subscription_details": new})


def a_final_draft_is_finalized(stage: ScenarioAccount) -> None:
    subscription = stage.subscribe(stage.customer().id, stage.price(1000).id)
    ended = stage.v1.subscriptions.cancel(subscription.id, {"prorate": True, "invoice_now": True})
    stage.v1.invoices.finalize_invoice(str(ended.latest_invoice))
    stage.v1.invoices.line_items.list(str(ended.latest_invoice))
    stage.v1.invoices.list({"subscription": subscription.id})


def an_open_invoice_is_paid_or_not(stage: ScenarioAccount) -> None:
    customer = stage.customer("pm_card_chargeCustomerFail")
    declined = stage.invoice(stage.subscribe(customer.id, stage.price(1000).id))
    with suppress(stripe.CardError):
        stage.v1.invoices.pay(declined.id)
    stage.v1.invoices.pay(declined.id, {"paid_out_of_band": True})
