"""The gateway notifies of each change once, and of nothing that was already so."""

import time
from datetime import timedelta
from typing import Any

import pytest

from gateway.db.models import Invoice, Notification, UpcomingInvoice, WebhookEvent
from gateway.services.adoption import walk
from gateway.services.adoption.survey import Source, Survey
from gateway.services.grants import add_grant
from gateway.services.plan_table.rebuild import rebuild_plan_table
from gateway.services.webhooks import drain
from gateway.services.webhooks.replay import Selection, find_replayable, replay_events
from handlers import HANDLERS
from tests.support.api import ApiClient
from tests.support.clock import DAY, StripeTime
from tests.support.counted_statements import counted
from tests.support.existing_account import existing_customer
from tests.support.json_types import Json
from tests.support.notified import NotifiedSystem, notify
from tests.support.other_terms import newest_at_stripe
from tests.support.payment_methods import attach, customer_of
from tests.support.reconciliation import walk_gap
from tests.support.world import World


def go_on(world: World, stripe_time: StripeTime, *, days: float) -> None:
    """Let time pass at Stripe, until so many days after the end of the present period."""
    [item] = newest_at_stripe(world)["items"].data
    stripe_time.ahead = item.current_period_end + days * DAY - time.time()
    newest_at_stripe(world)
    world.settle()


def pay_with(world: World, token: str) -> None:
    """Make a card the customer's default at Stripe."""
    method = attach(world, token)
    world.stripe.v1.customers.update(customer_of(world), {"invoice_settings": {"default_payment_method": method}})


def told(world: World, konnect: NotifiedSystem) -> list[str]:
    """Send what is due, and return the types of all that was received since the last call."""
    return [message["type"] for message in told_messages(world, konnect)]


def told_messages(world: World, konnect: NotifiedSystem) -> list[Json]:
    """Send what is due, and return all that was received since the last call. The worker may have sent some before."""
    notify(world)
    return konnect.take()


def test_trial_is_told_from_its_start_to_its_end(
    world: World, konnect: NotifiedSystem, stripe_time: StripeTime
) -> None:
    world.api().ok("POST", "/subscription")
    world.settle()
    messages = told_messages(world, konnect)
    assert [message["type"] for message in messages] == ["plan.changed", "trial.started"]
    changed = messages[0]["data"]
    assert (changed["before"]["plan"], changed["after"]["plan"], changed["actor_type"]) == ("free", "plus", "user")
    go_on(world, stripe_time, days=-2)
    assert sorted(told(world, konnect)) == ["charges.calculated", "trial.will_end"]
    go_on(world, stripe_time, days=1)
    assert told(world, konnect) == ["plan.changed", "trial.ended"]
    assert konnect.messages()[-1]["data"]["after"]["plan"] == "free"


@pytest.mark.parametrize("lost", [False, True])
def test_end_of_a_trial_is_told_three_days_before(
    world: World, konnect: NotifiedSystem, stripe_time: StripeTime, lost: bool
) -> None:
    world.api().ok("POST", "/subscription")
    world.settle()
    go_on(world, stripe_time, days=-3.1)
    assert "trial.will_end" not in told(world, konnect)
    if lost:
        world.fault("webhook_dropped", event="customer.subscription.trial_will_end")
        stripe_time.ahead += 0.2 * DAY
        newest_at_stripe(world)
        assert "trial.will_end" not in told(world, konnect)
        walk_gap(world)
        world.work()
    else:
        go_on(world, stripe_time, days=-2.9)
    messages = told_messages(world, konnect)
    [announced] = [each["data"] for each in messages if each["type"] == "trial.will_end"]
    assert announced["trial_end"] == world.api().ok("GET", "/subscription")["trial"]["ends_at"]
    walk_gap(world)
    world.work()
    assert told(world, konnect) == []


def test_unpaid_month_is_told_until_it_is_paid(
    world: World, api: ApiClient, konnect: NotifiedSystem, stripe_time: StripeTime
) -> None:
    assert told(world, konnect) == []  # nobody has to know that it is on Free
    api.ok("PATCH", "/subscription", plan="plus")
    assert told(world, konnect) == ["plan.changed"]
    api.add_card(world.stripe, "pm_card_chargeCustomerFail")
    go_on(world, stripe_time, days=-2)
    assert told(world, konnect) == ["charges.calculated"]
    amount = konnect.messages()[-1]["data"]["amount_due"]
    go_on(world, stripe_time, days=2)
    assert sorted(told(world, konnect)) == ["payment.failed", "standing.changed"]
    api.add_card(world.stripe)
    unpaid = next(each for each in world.rows(Invoice) if each.status == "open")
    api.ok("POST", f"/invoices/{unpaid.id}/pay")
    world.settle()
    data = {message["type"]: message["data"] for message in told_messages(world, konnect)}
    assert sorted(data) == ["invoice.paid", "standing.changed"]
    paid = data["invoice.paid"]
    assert (paid["invoice_id"], paid["amount_paid"]) == (unpaid.id, amount)


def test_failed_payments_are_told_as_they_happened(
    world: World, api: ApiClient, konnect: NotifiedSystem, stripe_time: StripeTime
) -> None:
    api.ok("PATCH", "/subscription", plan="plus")
    api.add_card(world.stripe, "pm_card_chargeCustomerFail")
    told(world, konnect)
    world.fault("webhook_reordered", event="invoice.payment_failed", count=2)
    go_on(world, stripe_time, days=4)
    failed = [each["data"] for each in told_messages(world, konnect) if each["type"] == "payment.failed"]
    assert [each["attempt_count"] for each in failed] == [1, 2]
    assert failed[0]["next_payment_attempt"] < failed[1]["next_payment_attempt"]


@pytest.mark.usefixtures("api")
def test_month_without_an_amount_is_not_told(world: World, konnect: NotifiedSystem, stripe_time: StripeTime) -> None:
    go_on(world, stripe_time, days=-2)
    [calculated] = world.rows(UpcomingInvoice)
    assert (calculated.amount_due, told(world, konnect)) == (0, [])


def test_approval_is_told_and_replayed_events_are_not(
    world: World, api: ApiClient, konnect: NotifiedSystem, stripe_time: StripeTime
) -> None:
    api.ok("PATCH", "/subscription", plan="plus")
    pay_with(world, "pm_card_authenticationRequired")
    go_on(world, stripe_time, days=2)
    assert {"payment.failed", "payment.action_required"} <= set(told(world, konnect))
    replay_events(world.gateway, find_replayable(world.gateway, Selection(types=["*"])))
    drain.drain_inbox(world.gateway, HANDLERS)
    assert {each.state for each in world.rows(WebhookEvent)} <= {"done", "ignored"}
    assert told(world, konnect) == []


def test_grant_is_told(world: World, api: ApiClient, konnect: NotifiedSystem) -> None:
    api.ok("GET", "/subscription")
    until = world.gateway.clock() + timedelta(days=3)
    add_grant(world.gateway, "org_1", "plus", until=until, reason="test", operator="Grace Hopper")
    assert told(world, konnect) == ["plan.changed"]
    assert "Grace" not in str(konnect.messages())  # an operator's name concerns no other system


def test_adoption_and_rebuild_notify_nobody(world: World) -> None:
    existing_customer(world.stripe, metadata={"workspace": "org_ada"}, quantity=4)
    survey = Survey(world.gateway, Source(metadata_key="workspace"))
    list(survey.read())
    list(walk.walk(world.gateway, survey, walk.begin(world.gateway)))
    world.work()
    list(rebuild_plan_table(world.gateway, write=True))
    assert world.plan_row("org_ada").plan == "plus"
    assert world.rows(Notification) == []


def test_notification_is_part_of_the_merges_one_insert(
    world: World, api: ApiClient, konnect: NotifiedSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.ok("PATCH", "/subscription", plan="plus")
    world.settle()
    told(world, konnect)
    subscription = newest_at_stripe(world)
    items: Any = [{"id": subscription["items"].data[0].id, "quantity": 3}]
    world.stripe.v1.subscriptions.update(subscription.id, {"items": items})
    world.await_deliveries()
    with counted(monkeypatch) as statements:
        drain.drain_inbox(world.gateway, HANDLERS)
    [writing] = [each for each in statements if "INSERT INTO notifications" in each]
    assert "INSERT INTO plan_history" in writing
    assert told(world, konnect) == ["plan.changed"]
