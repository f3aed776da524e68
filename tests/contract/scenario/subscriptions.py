from contextlib import suppress
from typing import Any

import stripe

from tests.contract.stage import ScenarioAccount
from tests.support.clock import DAY, START


def a_plan_is_changed_up_and_down(stage: ScenarioAccount) -> None:
    subscriptions = stage.v1.subscriptions
    customer = stage.customer()
    free, plus, dear = stage.price(0), stage.price(3000), stage.price(9000)
    subscription = stage.subscribe(customer.id, free.id)
    stage.swap(subscription, plus.id, 2)
    stage.swap(subscription, dear.id, proration_behavior="always_invoice")
    stage.swap(subscription, free.id, proration_behavior="always_invoice")
    subscriptions.update(subscription.id, {"cancel_at_period_end": True, "metadata": {"a": "b"}})
    subscriptions.update(subscription.id, {"billing_cycle_anchor": {"type": "now"}})
    expanded = ["latest_invoice.lines", "customer", "items.data.price.product", "default_payment_method"]
    subscriptions.retrieve(subscription.id, {"expand": expanded})
    subscriptions.list({"customer": customer.id, "status": "all"})
    stage.v1.customers.retrieve(customer.id, {"expand": ["subscriptions"]})


def a_change_waits_for_its_payment(stage: ScenarioAccount) -> None:
    customer = stage.customer()
    plus, dear = stage.price(3000), stage.price(9000)
    subscription = stage.subscribe(customer.id, plus.id)
    stage.give_card(customer.id, "pm_card_chargeCustomerFail")
    waiting = {"proration_behavior": "always_invoice", "payment_behavior": "pending_if_incomplete"}
    parked = stage.swap(subscription, dear.id, 5, **waiting)
    stage.give_card(customer.id, "pm_card_visa")
    stage.v1.invoices.pay(str(parked.latest_invoice))
    stage.give_card(customer.id, "pm_card_chargeCustomerFail")
    voided = stage.swap(subscription, dear.id, 50, **waiting)
    stage.v1.invoices.void_invoice(str(voided.latest_invoice))
    stage.swap(subscription, dear.id, 90, proration_behavior="always_invoice")


def a_first_payment_fails(stage: ScenarioAccount) -> None:
    price = stage.price(3000)
    stage.subscribe(stage.customer("pm_card_chargeCustomerFail").id, price.id)
    stage.subscribe(stage.customer("pm_card_authenticationRequired").id, price.id)
    with suppress(stripe.CardError):
        stage.subscribe(
            stage.customer("pm_card_chargeCustomerFail").id, price.id, payment_behavior="error_if_incomplete"
        )


def subscriptions_end(stage: ScenarioAccount) -> None:
    plus = stage.price(3000)
    for params in ({}, {"prorate": True}, {"prorate": True, "invoice_now": True}):
        ended = stage.subscribe(stage.customer().id, plus.id)
        stage.v1.subscriptions.cancel(ended.id, params)  # type: ignore[arg-type]  # a mixed tuple


def a_classic_subscription_migrates(stage: ScenarioAccount) -> None:
    once = stage.v1.prices.create({"currency": "usd", "unit_amount": 500, "product_data": {"name": "Setup"}})
    subscription = stage.subscribe(
        stage.customer().id,
        stage.price(1000).id,
        billing_mode={"type": "classic"},
        add_invoice_items=[{"price": once.id}],
    )
    stage.v1.subscriptions.migrate(subscription.id, {"billing_mode": {"type": "flexible"}})


def an_invoice_is_sent_and_overdue(stage: ScenarioAccount) -> None:
    clock = stage.test_clock()
    customer = stage.on_clock(clock, None)
    sent: Any = {"collection_method": "send_invoice", "days_until_due": 7}
    subscription = stage.subscribe(customer.id, stage.price(1000).id, **sent)
    stage.advance(clock, START + 8 * DAY)
    stage.v1.invoices.pay(str(subscription.latest_invoice), {"paid_out_of_band": True})
