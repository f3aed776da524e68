"""A subscription schedule takes hold of a subscription and gives it up again."""

import pytest
import stripe

from tests.support.stripe_account import StripeAccount


@pytest.fixture
def subscription(account: StripeAccount) -> stripe.Subscription:
    return account.subscribe(account.customer().id, account.price(3000).id)


def test_schedule_shows_on_its_subscription_until_released(
    account: StripeAccount, subscription: stripe.Subscription
) -> None:
    schedules, subscriptions = account.v1.subscription_schedules, account.v1.subscriptions
    schedule = schedules.create({"from_subscription": subscription.id})
    assert (schedule.status, schedule.subscription) == ("active", subscription.id)
    assert subscriptions.retrieve(subscription.id).schedule == schedule.id
    with pytest.raises(stripe.InvalidRequestError, match="already attached"):
        schedules.create({"from_subscription": subscription.id})
    released = schedules.release(schedule.id)
    assert (released.status, released.released_subscription) == ("released", subscription.id)
    assert subscriptions.retrieve(subscription.id).schedule is None
    with pytest.raises(stripe.InvalidRequestError, match="released"):
        schedules.cancel(schedule.id)


@pytest.mark.parametrize("prorate", [True, False])
def test_canceling_a_schedule_cancels_its_subscription(
    account: StripeAccount, subscription: stripe.Subscription, prorate: bool
) -> None:
    schedules = account.v1.subscription_schedules
    schedule = schedules.create({"from_subscription": subscription.id})
    assert schedules.cancel(schedule.id, {} if prorate else {"prorate": False}).status == "canceled"
    ended = account.v1.subscriptions.retrieve(subscription.id)
    assert (ended.status, ended.latest_invoice != subscription.latest_invoice) == ("canceled", prorate)
    with pytest.raises(stripe.InvalidRequestError, match="ended"):
        schedules.create({"from_subscription": subscription.id})


def test_schedule_events_name_what_happened(account: StripeAccount, subscription: stripe.Subscription) -> None:
    schedules = account.v1.subscription_schedules
    schedules.release(schedules.create({"from_subscription": subscription.id}).id)
    told = [event.type for event in account.events() if event.type.startswith("subscription_schedule.")]
    assert told == ["subscription_schedule.created", "subscription_schedule.released"]
    changed = [event.data.to_dict(for_json=True) for event in account.events(type="customer.subscription.updated")]
    assert ["schedule" in each["previous_attributes"] for each in changed][-2:] == [True, True]
