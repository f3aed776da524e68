"""A change to a plan that is charged immediately takes effect only after its payment."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from stripe import Invoice, PaymentIntent
from stripe import Subscription as StripeSubscription
from structlog.testing import capture_logs

from gateway.db.models import PlanChange, PlanHistory, Subscription
from gateway.endpoints.metrics import render
from gateway.services.plan_changes.charge_check import check_charge
from gateway.services.plan_changes.execute import finish_change
from tests.support.accounts import metered_price
from tests.support.api import ApiClient
from tests.support.clock import StripeTime
from tests.support.json_types import Json
from tests.support.plans import charge_plus
from tests.support.world import World

ASKS_ITS_HOLDER = "pm_card_authenticationRequired"
DECLINED = "pm_card_chargeCustomerFail"


@pytest.fixture
def api(world: World, cardless: ApiClient) -> ApiClient:
    """Return a client for an organization on Free, where Plus is charged immediately."""
    charge_plus(world)
    return cardless


def at_stripe(world: World) -> StripeSubscription:
    """Retrieve the subscription from Stripe with its latest invoice."""
    [row] = world.rows(Subscription)
    return world.stripe.v1.subscriptions.retrieve(row.id, {"expand": ["latest_invoice.payments"]})


def invoice_of(subscription: StripeSubscription) -> Invoice:
    assert isinstance(subscription.latest_invoice, Invoice)
    return subscription.latest_invoice


def start_unapproved_upgrade(world: World, api: ApiClient) -> Json:
    """Start an upgrade with a card that requires approval, and return the change."""
    api.add_card(world.stripe, ASKS_ITS_HOLDER)
    answer = api("PATCH", "/subscription", plan="plus")
    assert answer.status_code == 202, answer.get_data(as_text=True)
    change: Json = answer.get_json()
    return change


def approve(world: World, change: Json) -> PaymentIntent:
    """Approve the payment as the browser does, which needs only the client secret."""
    intent_id = change["client_secret"].split("_secret_")[0]
    return world.stripe.v1.payment_intents.confirm(intent_id)


def add_balance(world: World) -> None:
    """Give the customer an unrelated debt."""
    world.stripe.v1.customers.update(str(at_stripe(world).customer), {"balance": 7777})


def add_item(world: World) -> None:
    """Add an item to the next invoice, as sales does."""
    subscription = at_stripe(world)
    world.stripe.v1.invoice_items.create(
        {"customer": str(subscription.customer), "subscription": subscription.id, "amount": 7777, "currency": "usd"}
    )


def unended(world: World) -> list[str]:
    return [change.id for change in world.rows(PlanChange) if change.ended_at is None]


def test_amount_quoted_as_due_now_is_charged_now(world: World, api: ApiClient) -> None:
    api.add_card(world.stripe)
    quote = api.ok("POST", "/subscription/preview", plan="plus", quantity=3)
    change = api.ok("PATCH", "/subscription", quote=quote["token"])
    assert (change["state"], change["subscription"]["plan"], change["client_secret"]) == ("applied", "plus", None)
    paid = invoice_of(at_stripe(world))
    assert (paid.status, paid.amount_paid) == ("paid", quote["amount_due_now"])
    assert quote["amount_due_now"] > 0
    upcoming = world.stripe.v1.invoices.create_preview({"subscription": at_stripe(world).id})
    assert upcoming.amount_due == quote["amount_due_on_billing_date"] == 3 * 25000
    check_charge(world.gateway, change["id"])
    [_, row] = sorted(world.rows(PlanChange), key=lambda each: each.created_at)
    assert (row.charged, row.quoted) == (quote["amount_due_now"], quote["amount_due_now"])
    assert (row.due_now, row.quoted_due_now) == (quote["amount_due_now"], quote["amount_due_now"])
    assert "gateway_plan_changes_mischarged 0.0" in render(world.gateway).decode()


@pytest.mark.parametrize("meddle", [add_balance, add_item])
def test_charging_more_now_than_quoted_raises_an_alarm(
    world: World, api: ApiClient, meddle: Callable[[World], None]
) -> None:
    api.add_card(world.stripe)
    quote = api.ok("POST", "/subscription/preview", plan="plus")
    meddle(world)
    change = api.ok("PATCH", "/subscription", quote=quote["token"])
    with capture_logs() as logs:
        check_charge(world.gateway, change["id"])
    [alarm] = [entry for entry in logs if entry["log_level"] == "error"]
    assert (alarm["quoted_due_now"], alarm["due_now"]) == (quote["amount_due_now"], quote["amount_due_now"] + 7777)
    assert "gateway_plan_changes_mischarged 1.0" in render(world.gateway).decode()


def test_unreported_detached_card_is_402_and_changes_nothing(world: World, api: ApiClient) -> None:
    card = api.add_card(world.stripe)
    world.settle()
    world.fault("webhook_dropped", times=100)
    world.stripe.v1.payment_methods.detach(card)
    assert api.problem("PATCH", "/subscription", plan="plus") == (402, "payment_method_required")
    assert (at_stripe(world).items.data[0].price.unit_amount, unended(world)) == (0, [])


def test_a_declined_card_is_402_and_changes_nothing(world: World, api: ApiClient) -> None:
    api.add_card(world.stripe, DECLINED)
    assert api.problem("PATCH", "/subscription", plan="plus") == (402, "card_declined")
    still = at_stripe(world)
    assert (still.pending_update, still.items.data[0].price.unit_amount, still.status) == (None, 0, "active")
    assert [each.status for each in world.stripe.v1.invoices.list()] == ["paid"]  # the one of the enrolment
    world.settle()
    assert api.ok("GET", "/subscription")["plan"] == "free"
    assert unended(world) == []
    api.add_card(world.stripe)
    assert api.ok("PATCH", "/subscription", plan="plus")["state"] == "applied"


def pending(world: World) -> list[int]:
    """Return the amounts that wait for the next invoice."""
    return [item.amount for item in world.stripe.v1.invoice_items.list({"pending": True})]


@pytest.mark.parametrize(
    ("card", "refusal"), [(DECLINED, (402, "card_declined")), (ASKS_ITS_HOLDER, (409, "no_immediate_charge"))]
)
def test_failed_charge_keeps_the_items_of_earlier_changes(
    world: World, api: ApiClient, card: str, refusal: tuple[int, str]
) -> None:
    add_item(world)
    api.add_card(world.stripe, card)
    assert api.problem("PATCH", "/subscription", plan="plus") == refusal
    assert (pending(world), at_stripe(world).pending_update) == ([7777], None)
    api.add_card(world.stripe)
    assert api.ok("PATCH", "/subscription", plan="plus")["state"] == "applied"
    assert pending(world) == []


def end_with_the_period(world: World) -> None:
    """Schedule the end of the subscription, as in the dashboard."""
    world.stripe.v1.subscriptions.update(at_stripe(world).id, {"cancel_at_period_end": True})
    world.settle()


def test_upgrade_charged_now_clears_a_scheduled_end(world: World, api: ApiClient) -> None:
    end_with_the_period(world)
    api.add_card(world.stripe, ASKS_ITS_HOLDER)
    assert api.problem("PATCH", "/subscription", plan="plus") == (409, "no_immediate_charge")
    api.add_card(world.stripe)
    quote = api.ok("POST", "/subscription/preview", plan="plus")
    assert api.ok("PATCH", "/subscription", quote=quote["token"])["state"] == "applied"
    assert at_stripe(world).cancel_at is None


@pytest.mark.parametrize(("card", "state"), [("pm_card_visa", "applied"), (ASKS_ITS_HOLDER, "requires_action")])
def test_increase_charged_now_keeps_a_scheduled_end(world: World, api: ApiClient, card: str, state: str) -> None:
    api.add_card(world.stripe)
    api.ok("PATCH", "/subscription", plan="plus")
    end_with_the_period(world)
    api.add_card(world.stripe, card)
    quote = api.ok("POST", "/subscription/preview", quantity=2)
    assert api.ok("PATCH", "/subscription", quote=quote["token"])["state"] == state
    assert at_stripe(world).cancel_at is not None


def test_usage_is_not_left_to_a_charge_that_waits(world: World, api: ApiClient) -> None:
    subscription = at_stripe(world)
    product = str(subscription.items.data[0].price.product)
    world.stripe.v1.subscription_items.create({"subscription": subscription.id, "price": metered_price(world, product)})
    world.settle()
    api.add_card(world.stripe, ASKS_ITS_HOLDER)
    assert api.problem("PATCH", "/subscription", plan="plus") == (409, "no_immediate_charge")


def test_card_that_requires_approval_gives_the_plan_after_it(world: World, api: ApiClient) -> None:
    change = start_unapproved_upgrade(world, api)
    assert (change["state"], change["subscription"]["plan"]) == ("requires_action", "free")
    world.settle()
    assert api.ok("GET", "/subscription")["plan"] == "free"
    assert api.problem("PATCH", "/subscription", plan="plus") == (409, "change_in_progress")
    assert approve(world, change).status == "succeeded"
    world.settle()
    after = api.ok("GET", f"/subscription/changes/{change['id']}")
    assert (after["state"], after["client_secret"], after["subscription"]["plan"]) == ("applied", None, "plus")


def test_pending_change_is_not_credited_with_others_edits(world: World, api: ApiClient) -> None:
    [row] = world.rows(Subscription)
    world.stripe.v1.subscriptions.update(row.id, {"items": [{"id": row.items[0]["id"], "quantity": 4}]})
    start_unapproved_upgrade(world, api)  # its answer is the first to show that edit
    entry = world.rows(PlanHistory)[-1]
    assert (entry.after["plan"], entry.after["quantity"]) == ("free", 4)
    assert (entry.actor_type, entry.actor, entry.change_id) == ("system", None, None)


def test_job_finds_an_approval_whose_webhooks_are_lost(world: World, api: ApiClient) -> None:
    change = start_unapproved_upgrade(world, api)
    approve(world, change)
    finish_change(world.gateway, change["id"])
    assert api.ok("GET", f"/subscription/changes/{change['id']}")["state"] == "applied"


def test_unapproved_change_can_be_cancelled(world: World, api: ApiClient) -> None:
    change = start_unapproved_upgrade(world, api)
    gone = api.ok("DELETE", f"/subscription/changes/{change['id']}")
    assert (gone["state"], gone["error"]["code"], gone["client_secret"]) == ("abandoned", "payment_abandoned", None)
    assert (at_stripe(world).pending_update, invoice_of(at_stripe(world)).status) == (None, "void")
    assert api.problem("DELETE", f"/subscription/changes/{change['id']}") == (409, "conflict")
    api.add_card(world.stripe)
    assert api.ok("PATCH", "/subscription", plan="plus")["state"] == "applied"


def test_cancelling_a_change_that_was_just_paid_applies_it(world: World, api: ApiClient) -> None:
    change = start_unapproved_upgrade(world, api)
    approve(world, change)
    assert api.ok("DELETE", f"/subscription/changes/{change['id']}")["state"] == "applied"


def test_upgrade_that_is_never_approved_changes_nothing(world: World, api: ApiClient, stripe_time: StripeTime) -> None:
    change = start_unapproved_upgrade(world, api)
    stripe_time.ahead = timedelta(hours=24).total_seconds()
    assert at_stripe(world).pending_update is None
    world.settle()
    after = api.ok("GET", f"/subscription/changes/{change['id']}")
    assert (after["state"], after["error"]["code"], after["subscription"]["plan"]) == (
        "abandoned",
        "payment_abandoned",
        "free",
    )


def test_job_checks_again_when_stripe_has_given_up(world: World, api: ApiClient, stripe_time: StripeTime) -> None:
    change = start_unapproved_upgrade(world, api)
    finish_change(world.gateway, change["id"])
    assert unended(world) == [change["id"]]
    [_, again] = jobs_due(world)
    assert timedelta(hours=22) < again - datetime.now(UTC) < timedelta(hours=24)
    stripe_time.ahead = timedelta(hours=24).total_seconds()
    finish_change(world.gateway, change["id"])
    assert unended(world) == []


def jobs_due(world: World) -> list[datetime]:
    """Return when the jobs that finish the last change are due."""
    query = (
        "SELECT scheduled_at FROM procrastinate_jobs WHERE task_name = 'gateway.finish_change' AND status = 'todo' "
        "AND args ->> 'change_id' = (SELECT id FROM plan_changes ORDER BY created_at DESC LIMIT 1) ORDER BY 1"
    )
    with world.gateway.database.transaction() as session:
        return list(session.connection().exec_driver_sql(query).scalars())


def test_another_organizations_change_cannot_be_cancelled(world: World, api: ApiClient) -> None:
    change = start_unapproved_upgrade(world, api)
    assert world.api("org_2").problem("DELETE", f"/subscription/changes/{change['id']}") == (404, "not_found")


def test_leaving_a_plan_charged_now_gives_the_credit_immediately(world: World, api: ApiClient) -> None:
    api.add_card(world.stripe)
    api.ok("PATCH", "/subscription", plan="plus", quantity=2)
    quote = api.ok("POST", "/subscription/preview", plan="free")
    assert (quote["amount_due_now"], quote["estimate"]) == (0, False)
    left = api.ok("DELETE", "/subscription")
    assert left["state"] == "applied"
    [row] = world.rows(Subscription)
    customer = at_stripe(world).customer
    assert isinstance(customer, str)
    assert world.stripe.v1.customers.retrieve(customer).balance == -quote["credit"] < 0
    assert row.status == "active"
