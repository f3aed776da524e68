from tests.contract.stage import Stage


def items_are_read(stage: Stage) -> None:
    subscription = stage.subscribe(stage.customer().id, stage.price(1000).id)
    stage.v1.subscription_items.retrieve(subscription.items.data[0].id)
    stage.v1.subscription_items.list({"subscription": subscription.id})
