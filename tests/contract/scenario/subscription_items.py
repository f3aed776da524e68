from tests.contract.stage import ScenarioAccount


def items_are_read(stage: ScenarioAccount) -> None:
    subscription = stage.subscribe(stage.customer().id, stage.price(1000).id)
    stage.v1.subscription_items.retrieve(subscription.items.data[0].id)
    stage.v1.subscription_items.list({"subscription": subscription.id})


def items_are_changed(stage: ScenarioAccount) -> None:
    items = stage.v1.subscription_items
    subscription = stage.subscribe(stage.customer().id, stage.price(1000).id)
    item = items.create({"subscription": subscription.id, "price": stage.price(500).id, "quantity": 2})
    items.update(item.id, {"quantity": 3, "proration_behavior": "always_invoice", "metadata": {"a": "b"}})
    items.delete(item.id, {"proration_behavior": "none"})
