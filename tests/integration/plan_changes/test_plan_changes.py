"""Stripe charges what was quoted, only one change runs at a time, and each ends once despite a kill."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from stripe import InvoiceItem

from gateway.app import build_gateway, create_app
from gateway.db.models import PlanChange, Subscription
from gateway.services.mirror.refresh import merge_answer
from gateway.services.plan_changes.execute import finish_change
from gateway.services.plan_changes.request import change_plan, write_intent
from gateway.services.plan_changes.stripe_calls import Step, freeze_next_step
from gateway.stripe_api.snapshots import SubscriptionSnapshot
from schemas.changes import ChangeCommand
from tests.support.api import ApiClient
from tests.support.clock import StripeTime
from tests.support.world import CALLER, World


def pending(world: World) -> list[InvoiceItem]:
    """Return the invoice items that wait for the billing date, oldest first."""
    items = world.stripe.v1.invoice_items.list({"pending": True, "limit": 100})
    return list(reversed(items.data))


def intend(world: World, plan: str, *, enroll: bool = False) -> str:
    """Store a change's intent, like a process that dies before it calls Stripe. Return the change's id."""
    return write_intent(world.gateway, CALLER, ChangeCommand(plan=plan, enroll=enroll), None).change_id


def freeze(world: World, change_id: str) -> Step:
    """Store the next call's parameters, like a process that dies before it makes the call."""
    with world.gateway.database.transaction() as session:
        step = freeze_next_step(session, world.gateway.catalog, change_id, world.gateway.clock())
    assert step is not None
    return step


def test_confirming_a_quote_produces_exactly_its_lines(world: World, api: ApiClient) -> None:
    quote = api.ok("POST", "/subscription/preview", plan="plus", quantity=3)
    change = api.ok("PATCH", "/subscription", quote=quote["token"])
    assert (change["state"], change["from_plan"], change["to_plan"], change["quantity"]) == (
        "applied",
        "free",
        "plus",
        3,
    )
    quoted = [(line["description"], line["amount"]) for line in quote["lines"] if line["proration"]]
    assert [(item.description, item.amount) for item in pending(world)] == quoted
    assert quoted != []
    upcoming = world.stripe.v1.invoices.create_preview({"subscription": world.rows(Subscription)[0].id})
    assert upcoming.amount_due == quote["amount_due_on_billing_date"]


def test_reason_of_a_cancellation_is_kept_and_sent_to_stripe(world: World, api: ApiClient) -> None:
    api.ok("PATCH", "/subscription", plan="plus")
    reason = {"feedback": "missing_features", "comment": "We need SAML."}
    api.ok("DELETE", "/subscription", **reason)
    subscription = world.stripe.v1.subscriptions.retrieve(world.rows(Subscription)[0].id)
    assert subscription.cancellation_details is not None
    assert {name: subscription.cancellation_details[name] for name in reason} == reason
    assert [change.cancellation for change in world.rows(PlanChange) if change.cancellation] == [reason]


def test_a_quote_costs_the_same_minutes_later(world: World, api: ApiClient, stripe_time: StripeTime) -> None:
    quote = api.ok("POST", "/subscription/preview", plan="plus", quantity=100)
    stripe_time.ahead = 240  # 100 x 250.00 a month is about a cent a second, so another moment has another price
    api.ok("PATCH", "/subscription", quote=quote["token"])
    [item] = pending(world)
    assert item.amount == quote["lines"][0]["amount"]
    unquoted = world.stripe.v1.invoices.create_preview({"subscription": world.rows(Subscription)[0].id})
    assert unquoted.amount_due == quote["amount_due_on_billing_date"]


def test_nothing_is_charged_at_sign_up(world: World) -> None:
    api = world.api()
    api.add_card(world.stripe)
    change = api.ok("POST", "/subscription", plan="plus")
    assert change["subscription"]["plan"] == "plus"
    assert sum(invoice.amount_paid for invoice in world.stripe.v1.invoices.list()) == 0


def test_card_in_the_sign_up_becomes_the_default(world: World) -> None:
    api = world.api()
    intent = api.ok("POST", "/billing-details/setup-intent")["client_secret"].split("_secret_")[0]
    card = world.stripe.v1.setup_intents.confirm(intent, {"payment_method": "pm_card_visa"}).payment_method
    assert isinstance(card, str)
    change = api("POST", "/subscription", plan="plus", payment_method=card)
    assert change.status_code == 201
    assert change.get_json()["subscription"]["payment_method"]["id"] == card
    assert change.headers["Location"] == f"/v1/subscription/changes/{change.get_json()['id']}"


def test_cancel_plan_credits_the_unused_time(world: World, api: ApiClient) -> None:
    api.ok("PATCH", "/subscription", plan="plus")
    cancelled = api.ok("DELETE", "/subscription")
    assert (cancelled["state"], cancelled["subscription"]["plan"]) == ("applied", "free")
    debit, credit = pending(world)
    assert debit.amount > 0 > credit.amount
    assert cancelled["subscription"]["actions"] == ["change_plan", "contact_sales"]


def test_a_quote_is_stale_once_the_subscription_has_changed(world: World, api: ApiClient) -> None:
    quote = api.ok("POST", "/subscription/preview", plan="plus")
    api.ok("PATCH", "/subscription", plan="plus", quantity=2)
    assert api.problem("PATCH", "/subscription", quote=quote["token"]) == (409, "quote_stale")
    assert len(pending(world)) == 1


def test_a_quote_for_something_else_is_stale(api: ApiClient) -> None:
    quote = api.ok("POST", "/subscription/preview", plan="plus")
    assert api.problem("PATCH", "/subscription", quote=quote["token"], quantity=2) == (409, "quote_stale")


def test_a_quote_expires(world: World, api: ApiClient) -> None:
    quote = api.ok("POST", "/subscription/preview", plan="plus")
    later = replace(world.gateway, clock=lambda: datetime.now(UTC) + timedelta(minutes=16))
    late = ApiClient(create_app(later).test_client(), world.token())
    assert late.problem("PATCH", "/subscription", quote=quote["token"]) == (409, "quote_expired")


def test_a_quote_of_another_organization_is_refused(world: World, api: ApiClient) -> None:
    quote = api.ok("POST", "/subscription/preview", plan="plus")
    other = world.api("org_2")
    other.add_card(world.stripe)
    other.ok("POST", "/subscription", plan="free")
    assert other.problem("PATCH", "/subscription", quote=quote["token"]) == (404, "not_found")


def test_second_change_is_409_with_the_location_of_the_first(world: World, api: ApiClient) -> None:
    change_id = intend(world, plan="plus")
    answer = api("PATCH", "/subscription", plan="plus")
    assert (answer.status_code, answer.get_json()["code"]) == (409, "change_in_progress")
    assert answer.headers["Location"] == f"/v1/subscription/changes/{change_id}"
    assert api.ok("GET", "/subscription")["pending_change"]["id"] == change_id


def test_change_in_flight_is_found_behind_a_later_dated_one(world: World, api: ApiClient) -> None:
    ahead = replace(world.gateway, clock=lambda: datetime.now(UTC) + timedelta(minutes=1))
    assert change_plan(ahead, CALLER, ChangeCommand(plan="plus")).state == "applied"
    intend(world, plan="free")
    assert api.problem("PATCH", "/subscription", plan="plus", quantity=2) == (409, "change_in_progress")


def processes(world: World, number: int) -> list[ApiClient]:
    """Build applications of the gateway before the threads that call them start.

    werkzeug compiles code for each route, and CPython 3.11 cannot always do so in several threads.
    """
    return [ApiClient(create_app(world.gateway).test_client(), world.token()) for _ in range(number)]


@pytest.mark.usefixtures("api")
def test_concurrent_clicks_make_one_change(world: World) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = pool.map(lambda api: api("PATCH", "/subscription", plan="plus"), processes(world, 8))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 7
    assert len(pending(world)) == 1


def test_concurrent_sign_ups_make_one_customer_and_one_subscription(world: World) -> None:
    with ThreadPoolExecutor(4) as pool:
        answers = pool.map(lambda api: api("POST", "/subscription", plan="free"), processes(world, 4))
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len(world.stripe.v1.customers.list().data) == 1
    assert len(world.stripe.v1.subscriptions.list().data) == 1


def test_job_carries_out_a_change_killed_after_its_intent(world: World, api: ApiClient) -> None:
    change_id = intend(world, plan="plus")
    finish_change(world.gateway, change_id)
    assert api.ok("GET", f"/subscription/changes/{change_id}")["state"] == "applied"
    assert world.plan_row().plan == "plus"
    assert len(pending(world)) == 1


def test_job_charges_a_change_killed_after_stripes_answer_once(world: World, api: ApiClient) -> None:
    change_id = intend(world, plan="plus")
    freeze(world, change_id).perform(world.stripe)
    finish_change(world.gateway, change_id)
    assert api.ok("GET", f"/subscription/changes/{change_id}")["state"] == "applied"
    assert world.plan_row().plan == "plus"
    assert len(pending(world)) == 1


def test_webhook_closes_a_change_killed_after_stripes_answer(world: World, api: ApiClient) -> None:
    change_id = intend(world, plan="plus")
    freeze(world, change_id).perform(world.stripe)
    world.settle()
    assert api.ok("GET", f"/subscription/changes/{change_id}")["state"] == "applied"
    assert world.plan_row().plan == "plus"


def test_job_finishes_a_sign_up_killed_between_its_calls(
    world: World,
) -> None:
    api = world.api()
    api.add_card(world.stripe)
    change_id = intend(world, plan="plus", enroll=True)
    freeze(world, change_id).perform(world.stripe)  # Stripe has the Free subscription, but the gateway does not know it
    finish_change(world.gateway, change_id)
    assert api.ok("GET", f"/subscription/changes/{change_id}")["state"] == "applied"
    assert world.plan_row().plan == "plus"
    assert len(world.stripe.v1.subscriptions.list().data) == 1


@pytest.mark.usefixtures("api")
def test_replayed_answer_does_not_undo_a_later_change(world: World) -> None:
    change_id = intend(world, plan="plus")
    step = freeze(world, change_id)
    first: Any = step.perform(world.stripe).data
    item = first["items"]["data"][0]["id"]
    world.stripe.v1.subscriptions.update(first["id"], {"items": [{"id": item, "quantity": 7}]})  # in the dashboard
    merge_answer(world.gateway, SubscriptionSnapshot, step.perform(world.stripe), cause=change_id)
    assert world.plan_row().quantity == 7
    assert [row.state for row in world.rows(PlanChange)] == ["applied", "applied"]


def test_change_without_stripe_is_processing_until_the_job_ends_it(world: World, api: ApiClient) -> None:
    broken = build_gateway(replace(world.gateway.config, stripe_api_base="http://127.0.0.1:1"))
    answer = ApiClient(create_app(broken).test_client(), world.token())("PATCH", "/subscription", plan="plus")
    broken.database.close()
    change = answer.get_json()
    assert (answer.status_code, change["state"], change["subscription"]["plan"]) == (202, "processing", "free")
    finish_change(world.gateway, change["id"])
    assert api.ok("GET", f"/subscription/changes/{change['id']}")["state"] == "applied"


@pytest.mark.usefixtures("api")
def test_preview_without_stripe_is_503(world: World) -> None:
    broken = build_gateway(replace(world.gateway.config, stripe_api_base="http://127.0.0.1:1"))
    late = ApiClient(create_app(broken).test_client(), world.token())
    assert late.problem("POST", "/subscription/preview", plan="plus") == (503, "stripe_unavailable")
    broken.database.close()


def test_refused_change_fails_and_refreshes_the_plan(world: World, api: ApiClient) -> None:
    world.stripe.v1.subscriptions.cancel(world.rows(Subscription)[0].id)  # as in the dashboard, with a late webhook
    assert api.problem("PATCH", "/subscription", plan="plus")[0] >= 400
    assert sorted(row.state for row in world.rows(PlanChange)) == ["applied", "failed"]
    world.work()  # works without the webhook
    assert api.ok("GET", "/subscription")["status"] == "canceled"
    assert api.ok("PATCH", "/subscription", plan="plus")["state"] == "applied"


def test_change_too_old_to_repeat_safely_is_abandoned(world: World, api: ApiClient) -> None:
    change_id = intend(world, plan="plus")
    later = replace(world.gateway, clock=lambda: datetime.now(UTC) + timedelta(hours=24))
    finish_change(later, change_id)
    assert api.ok("GET", f"/subscription/changes/{change_id}")["state"] == "abandoned"
    assert pending(world) == []
    assert api.ok("PATCH", "/subscription", plan="plus")["state"] == "applied"
