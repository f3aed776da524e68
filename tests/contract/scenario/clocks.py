from typing import Any

from tests.contract.stage import ScenarioAccount
from tests.support.clock import DAY, MONTH, START


def clocks_come_and_go(stage: ScenarioAccount) -> None:
    clocks = stage.v1.test_helpers.test_clocks
    clock = clocks.create({"frozen_time": START, "name": "ours"})
    clocks.retrieve(clock.id)
    clocks.list()
    stage.subscribe(stage.on_clock(clock.id).id, stage.price(1000).id)
    clocks.advance(clock.id, {"frozen_time": START + DAY})
    stage.advance(clock.id, START + 2 * MONTH)
    clocks.delete(clock.id)


def renewals_fail_until_the_end(stage: ScenarioAccount) -> None:
    clock = stage.test_clock()
    customer = stage.on_clock(clock)
    stage.subscribe(customer.id, stage.price(1000).id)
    stage.give_card(customer.id, "pm_card_chargeCustomerFail")
    for month in (1, 2):
        stage.advance(clock, START + month * MONTH + DAY)


def a_trial_ends(stage: ScenarioAccount) -> None:
    clock = stage.test_clock()
    customer = stage.on_clock(clock)
    price = stage.price(1000).id
    stage.subscribe(customer.id, price, trial_period_days=7)
    ending = {"end_behavior": {"missing_payment_method": "pause"}}
    cardless = stage.on_clock(clock, None)
    stage.subscribe(cardless.id, price, trial_period_days=7, trial_settings=ending)
    stage.advance(clock, START + 8 * DAY)


def a_first_invoice_and_a_change_expire(stage: ScenarioAccount) -> None:
    clock = stage.test_clock()
    customer = stage.on_clock(clock)
    subscription = stage.subscribe(customer.id, stage.price(1000).id)
    stage.give_card(customer.id, "pm_card_authenticationRequired")
    waiting: Any = {"proration_behavior": "always_invoice", "payment_behavior": "pending_if_incomplete"}
    stage.swap(subscription, stage.price(5000).id, **waiting)
    stage.subscribe(customer.id, stage.price(1000).id)
    stage.advance(clock, START + 2 * DAY)


def subscriptions_pause_and_resume(stage: ScenarioAccount) -> None:
    subscriptions = stage.v1.subscriptions
    clock = stage.test_clock()
    subscription = stage.subscribe(stage.on_clock(clock).id, stage.price(1000).id)
    subscriptions.pause(subscription.id, {"type": "subscription"})
    subscriptions.resume(subscription.id)
    subscriptions.update(subscription.id, {"pause_collection": {"behavior": "mark_uncollectible"}})
    stage.advance(clock, START + MONTH + DAY)
    subscriptions.update(subscription.id, {"pause_collection": "", "cancel_at_period_end": True})
    stage.advance(clock, START + 2 * MONTH + DAY)
