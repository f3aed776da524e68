from tests.contract.stage import ScenarioAccount


def items_wait_for_an_invoice(stage: ScenarioAccount) -> None:
    items = stage.v1.invoice_items
    customer = stage.customer()
    item = items.create({"customer": customer.id, "amount": 700, "currency": "usd", "description": "extra"})
    items.retrieve(item.id)
    items.delete(item.id)
    items.create({"customer": customer.id, "amount": 700, "currency": "usd"})
    subscription = stage.subscribe(customer.id, stage.price(1000).id)
    items.create({"customer": customer.id, "amount": 300, "currency": "usd", "subscription": subscription.id})
    stage.swap(subscription, stage.price(2000).id)
    stage.swap(subscription, stage.price(3000).id, proration_behavior="always_invoice")
    items.list({"customer": customer.id})


def a_one_time_price_is_charged(stage: ScenarioAccount) -> None:
    customer = stage.customer()
    once = stage.v1.prices.create({"currency": "usd", "unit_amount": 500, "product_data": {"name": "Setup"}})
    item = stage.v1.invoice_items.create({"customer": customer.id, "pricing": {"price": once.id}, "quantity": 2})
    stage.v1.invoice_items.update(item.id, {"quantity": 3, "metadata": {"a": "b"}})
    stage.subscribe(customer.id, stage.price(1000).id)
