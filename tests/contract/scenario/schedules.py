from tests.contract.stage import ScenarioAccount


def schedules_take_hold_of_subscriptions(stage: ScenarioAccount) -> None:
    schedules, customer = stage.v1.subscription_schedules, stage.customer()
    subscription = stage.subscribe(customer.id, stage.price(1000).id)
    released = schedules.create({"from_subscription": subscription.id})
    schedules.retrieve(released.id)
    schedules.release(released.id)
    schedules.cancel(schedules.create({"from_subscription": subscription.id}).id, {"prorate": False})
