"""Stripe fails in every way during a plan change. The change is applied and charged once, or neither."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest
from stripe import CardError, Invoice, StripeClient

from gateway.db.models import PlanChange
from gateway.errors import StripeUnavailable
from gateway.services.plan_changes.execute import finish_change, run_change
from gateway.services.plan_changes.payment import get_payment_intent_id
from gateway.services.plan_changes.request import write_intent
from gateway.services.plan_changes.stripe_calls import Step, freeze_next_step
from gateway.services.runtime import Gateway
from gateway.stripe_api import client
from schemas.changes import ChangeCommand
from tests.support.api import ApiClient
from tests.support.clock import StripeTime
from tests.support.json_types import Json
from tests.support.plans import charge_plus
from tests.support.wait import eventually
from tests.support.world import CALLER, World

CHANGING, CREATING, VOIDING = "/v1/subscriptions/*", "/v1/subscriptions", "/v1/invoices/*/void"
A_MINUTE = 3  # tries of the job: 20, 35 and 50 seconds after the request
ASKS_ITS_HOLDER, DECLINED = "pm_card_authenticationRequired", "pm_card_chargeCustomerFail"
DECLINED_WHEN_APPROVED = "pm_card_authenticationRequiredChargeDeclinedInsufficientFunds"


@dataclass
class FaultyShop:
    """A gateway with one organization that is on Free and has a valid card."""

    world: World
    gateway: Gateway
    api: ApiClient

    def upgrade(self) -> Json:
        """Request Plus and return the change."""
        answer = self.api("PATCH", "/subscription", plan="plus")
        assert answer.status_code in {200, 202}, answer.get_data(as_text=True)
        change: Json = answer.get_json()
        return change

    def let_a_minute_pass(self, change_id: str) -> str:
        """Run the tries that the job makes within a minute. Return the change's state."""
        for _ in range(A_MINUTE):
            try:
                finish_change(self.gateway, change_id)
            except StripeUnavailable:
                continue
            break
        return self.state(change_id)

    def state(self, change_id: str) -> str:
        [change] = [each for each in self.world.rows(PlanChange) if each.id == change_id]
        return change.state

    def intend(self) -> str:
        """Store an upgrade's intent, like a process that dies before it calls Stripe. Return the change's id."""
        return write_intent(self.gateway, CALLER, ChangeCommand(plan="plus"), None).change_id

    def freeze(self, change_id: str) -> Step:
        """Store the next call's parameters, like a process that dies before it makes the call."""
        with self.gateway.database.transaction() as session:
            step = freeze_next_step(session, self.gateway.catalog, change_id, self.gateway.clock())
        assert step is not None
        return step

    def paid_or_pending(self) -> list[int]:
        """Return one amount for each charge for Plus that is paid or pending."""
        stripe = self.world.stripe
        void = {invoice.id for invoice in stripe.v1.invoices.list() if invoice.status == "void"}
        items = stripe.v1.invoice_items.list({"limit": 100}).data
        return [item.amount for item in items if item.amount > 0 and item.invoice not in void]

    def assert_ended(self, change_id: str, state: str) -> None:
        """Check that the change ended once in this state, in our tables and at Stripe."""
        assert self.state(change_id) == state
        assert len(self.paid_or_pending()) == (state == "applied")
        [subscription] = self.world.stripe.v1.subscriptions.list().data
        [item] = subscription.to_dict()["items"]["data"]
        plan = "plus" if state == "applied" else "free"
        assert item["price"]["lookup_key"] == f"konnect_{plan}_usd_month"
        self.world.settle()
        assert (self.world.plan_row().plan, self.world.plan_row().quantity) == (plan, 1)
        assert self.api.ok("PATCH", "/subscription", plan="plus", quantity=3)["state"] == "applied"


@pytest.fixture(params=["on_billing_date", "now"])
def shop(request: pytest.FixtureRequest, world: World, api: ApiClient) -> FaultyShop:
    charge_plus(world, request.param)
    return FaultyShop(world, world.gateway, api)


@pytest.mark.parametrize("kind", ["rate_limit", "lock_timeout"])
def test_a_429_is_tried_again_by_the_job(shop: FaultyShop, kind: str) -> None:
    shop.world.fault(kind, method="POST", path=CHANGING, times=2)
    change = shop.upgrade()
    assert change["state"] == "processing"
    assert shop.let_a_minute_pass(change["id"]) == "applied"
    assert shop.world.faults()[0]["left"] == 0
    shop.assert_ended(change["id"], "applied")


@pytest.mark.parametrize("kind", ["error_before", "error_after"])
def test_500_that_stripe_would_repeat_causes_no_delay(shop: FaultyShop, kind: str) -> None:
    shop.world.fault(kind, method="POST", path=CHANGING)
    change = shop.upgrade()
    assert change["state"] == "applied"
    assert shop.world.faults()[0]["fired"] == 1
    shop.assert_ended(change["id"], "applied")


@pytest.mark.parametrize("kind", ["error_before", "error_after"])
def test_second_500_under_the_next_key_leaves_the_change_to_the_job(shop: FaultyShop, kind: str) -> None:
    shop.world.fault("error_before", method="POST", path=CHANGING)
    shop.world.fault(kind, method="POST", path=CHANGING)
    change = shop.upgrade()
    assert change["state"] == "processing"
    assert shop.let_a_minute_pass(change["id"]) == "applied"
    assert [fault["fired"] for fault in shop.world.faults()] == [1, 1]
    shop.assert_ended(change["id"], "applied")


def test_500_not_stored_is_retried_under_the_same_key(shop: FaultyShop, monkeypatch: pytest.MonkeyPatch) -> None:
    # as if it came from a proxy between us and Stripe
    monkeypatch.setattr("gateway.services.plan_changes.execute.is_kept_failure", lambda _error: False)
    shop.world.fault("error_before", method="POST", path=CHANGING)
    change = shop.upgrade()
    assert (change["state"], shop.paid_or_pending()) == ("processing", [])
    monkeypatch.undo()
    assert shop.let_a_minute_pass(change["id"]) == "applied"
    shop.assert_ended(change["id"], "applied")


def test_lost_answer_is_retried_and_charged_once(shop: FaultyShop) -> None:
    shop.world.fault("response_lost", method="POST", path=CHANGING)
    change = shop.upgrade()
    assert shop.world.faults()[0]["fired"] == 1
    shop.assert_ended(change["id"], "applied")


def test_change_is_made_once_when_stripe_exceeds_our_timeout(shop: FaultyShop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "READ_TIMEOUT", 0.2)
    impatient = replace(shop.gateway, stripe=build_impatient_client(shop))
    change_id = shop.intend()
    shop.world.fault("delay", method="POST", path=CHANGING, seconds=60)
    with pytest.raises(StripeUnavailable):
        finish_change(impatient, change_id)
    with pytest.raises(StripeUnavailable):  # the second call arrives while Stripe still works on the first
        finish_change(impatient, change_id)
    assert shop.state(change_id) == "processing"
    shop.world.end_faults()
    eventually(lambda: len(shop.paid_or_pending()) == 1)
    assert shop.let_a_minute_pass(change_id) == "applied"
    shop.assert_ended(change_id, "applied")


def build_impatient_client(shop: FaultyShop) -> StripeClient:
    """Return a client that uses the timeouts that are set now."""
    return client.stripe_client(shop.gateway.config.stripe_secret_key, shop.gateway.config.stripe_api_base)


@pytest.mark.parametrize("kind", ["error_before", "error_after", "response_lost", "rate_limit"])
def test_an_enrolment_makes_one_subscription(world: World, kind: str) -> None:
    world.fault(kind, method="POST", path=CREATING)
    answer = world.api().ok("POST", "/subscription", plan="free")
    finish_change(world.gateway, answer["id"])
    [change] = world.rows(PlanChange)
    assert change.state == "applied"
    assert world.faults()[0]["fired"] == 1
    assert len(world.stripe.v1.subscriptions.list({"status": "all"}).data) == 1


def test_expired_key_is_not_reused_and_its_effect_is_found(shop: FaultyShop, stripe_time: StripeTime) -> None:
    change_id = shop.intend()
    shop.freeze(change_id).perform(shop.world.stripe)  # the gateway does not see the answer
    later = a_day_later(shop, stripe_time)
    finish_change(later, change_id)
    shop.assert_ended(change_id, "applied")


def test_expired_key_is_not_reused(shop: FaultyShop, stripe_time: StripeTime) -> None:
    change_id = shop.intend()
    shop.freeze(change_id)
    finish_change(a_day_later(shop, stripe_time), change_id)
    shop.assert_ended(change_id, "abandoned")


def test_request_repeated_a_day_later_uses_no_old_key(shop: FaultyShop, stripe_time: StripeTime) -> None:
    change_id = shop.intend()
    shop.freeze(change_id)
    run_change(a_day_later(shop, stripe_time), change_id)
    assert (shop.state(change_id), shop.paid_or_pending()) == ("processing", [])


def a_day_later(shop: FaultyShop, stripe_time: StripeTime) -> Gateway:
    stripe_time.ahead = timedelta(hours=25).total_seconds()
    return replace(shop.gateway, clock=lambda: datetime.now(UTC) + timedelta(hours=25))


CHARGED_NOW = pytest.mark.parametrize("shop", ["now"], indirect=True)


@CHARGED_NOW
@pytest.mark.parametrize("kind", ["error_before", "error_after", "response_lost", "rate_limit"])
def test_declined_upgrade_fails_although_stripe_fails(shop: FaultyShop, kind: str) -> None:
    shop.api.add_card(shop.world.stripe, DECLINED)
    shop.world.fault(kind, method="POST", path=CHANGING)
    assert_declined(shop, shop.api("PATCH", "/subscription", plan="plus").status_code)


@CHARGED_NOW
@pytest.mark.parametrize("kind", ["response_lost", "rate_limit"])
def test_upgrade_declined_after_approval_is_cancelled(shop: FaultyShop, kind: str) -> None:
    intent = lose_the_payment(shop)
    with pytest.raises(CardError):
        shop.world.stripe.v1.payment_intents.confirm(intent)
    shop.world.fault(kind, method="POST", path=VOIDING)
    assert_declined(shop, 202)


def lose_the_payment(shop: FaultyShop) -> str:
    """Upgrade with a card that is declined after its approval, and lose Stripe's answer about the payment."""
    shop.api.add_card(shop.world.stripe, DECLINED_WHEN_APPROVED)
    shop.world.fault("error_before", method="GET", path="/v1/payment_intents/*", times=2)
    assert shop.upgrade()["state"] == "processing"
    [subscription] = shop.world.stripe.v1.subscriptions.list({"expand": ["data.latest_invoice.payments"]})
    return get_payment_intent_id(cast("Invoice", subscription.latest_invoice))


def assert_declined(shop: FaultyShop, status: int) -> None:
    """Check that the last change failed within a minute, despite the fault, and permits another one."""
    assert status in {202, 402}
    change = max(shop.world.rows(PlanChange), key=lambda each: each.created_at)
    assert shop.let_a_minute_pass(change.id) == "failed"
    [ended] = [each for each in shop.world.rows(PlanChange) if each.id == change.id]
    assert (ended.error or {})["code"] == "card_declined"
    assert shop.world.faults()[-1]["fired"] == 1
    shop.api.add_card(shop.world.stripe)
    shop.assert_ended(change.id, "failed")


@CHARGED_NOW
@pytest.mark.parametrize("kind", ["error_before", "error_after", "response_lost"])
def test_upgrade_with_approval_waits_for_one_payment_despite_errors(shop: FaultyShop, kind: str) -> None:
    shop.api.add_card(shop.world.stripe, ASKS_ITS_HOLDER)
    shop.world.fault(kind, method="POST", path=CHANGING)
    change = shop.upgrade()
    assert change["state"] == "requires_action"
    assert [each.status for each in shop.world.stripe.v1.invoices.list()].count("open") == 1
    shop.world.stripe.v1.payment_intents.confirm(change["client_secret"].split("_secret_")[0])
    shop.world.settle()
    shop.api.add_card(shop.world.stripe)
    shop.assert_ended(change["id"], "applied")


@CHARGED_NOW
def test_payment_wait_that_begins_in_the_job_is_checked_at_expiry(shop: FaultyShop, stripe_time: StripeTime) -> None:
    shop.api.add_card(shop.world.stripe, ASKS_ITS_HOLDER)
    change_id = shop.intend()
    finish_change(shop.gateway, change_id)
    assert shop.state(change_id) == "requires_action"
    with shop.gateway.database.transaction() as session:
        due = session.connection().exec_driver_sql(
            "SELECT max(scheduled_at) FROM procrastinate_jobs WHERE task_name = 'gateway.finish_change'"
        )
        assert due.scalar_one() - datetime.now(UTC) > timedelta(hours=22)
    stripe_time.ahead = timedelta(hours=24).total_seconds()
    finish_change(shop.gateway, change_id)  # works without a webhook
    shop.api.add_card(shop.world.stripe)
    shop.assert_ended(change_id, "abandoned")


@CHARGED_NOW
def test_refused_upgrade_that_was_just_paid_is_applied(shop: FaultyShop) -> None:
    intent = lose_the_payment(shop)
    [change] = [each for each in shop.world.rows(PlanChange) if each.ended_at is None]
    shop.world.stripe.v1.payment_intents.confirm(intent, {"payment_method": "pm_card_visa"})
    assert shop.let_a_minute_pass(change.id) == "applied"
    shop.api.add_card(shop.world.stripe)
    shop.assert_ended(change.id, "applied")
