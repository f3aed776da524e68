"""Plans that are charged at once: a change takes effect once it is paid, and not a moment before."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from stripe import Invoice, PaymentIntent
from stripe import Subscription as StripeSubscription
from structlog.testing import capture_logs

from gateway.catalog import Catalog
from gateway.db.models import PlanChange, PlanHistory, Subscription
from gateway.endpoints.metrics import render
from gateway.endpoints.request_context import EXTENSION
from gateway.services.plan_changes import charge_check, execute
from gateway.services.runtime import Gateway
from tests.integration.support import Api, Json, StripeTime, World

ASKS_ITS_HOLDER = "pm_card_authenticationRequired"
DECLINED = "pm_card_chargeCustomerFail"


@pytest.fixture
def at_once(world: World) -> Gateway:
    """A deployment whose Plus is charged at once."""
    plans = (replace(plan, charge="now") if plan.key == "plus" else plan for plan in world.gateway.catalog.plans)
    return replace(world.gateway, catalog=Catalog(tuple(plans)))


@pytest.fixture
def api(world: World, at_once: Gateway) -> Api:
    """An organization on Free, at such a deployment."""
    world.client.application.extensions[EXTENSION].gateway = at_once
    api = world.api()
    api.ok("POST", "/subscription", plan="free")
    return api


def at_stripe(world: World) -> StripeSubscription:
    """The subscription as Stripe has it, with its latest invoice."""
    [row] = world.rows(Subscription)
    return world.stripe.v1.subscriptions.retrieve(row.id, {"expand": ["latest_invoice.payments"]})


def invoice_of(subscription: StripeSubscription) -> Invoice:
    assert isinstance(subscription.latest_invoice, Invoice)
    return subscription.latest_invoice


def upgrade_that_waits(world: World, api: Api) -> Json:
    """An upgrade with a card that asks its holder."""
    api.add_card(world.stripe, ASKS_ITS_HOLDER)
    answer = api("PATCH", "/subscription", plan="plus")
    assert answer.status_code == 202, answer.get_data(as_text=True)
    change: Json = answer.get_json()
    return change


def approve(world: World, change: Json) -> PaymentIntent:
    """The customer approves in the browser, which needs the secret and nothing else."""
    intent_id = change["client_secret"].split("_secret_")[0]
    return world.stripe.v1.payment_intents.confirm(intent_id)


def a_balance(world: World) -> None:
    """The customer owes something from elsewhere."""
    world.stripe.v1.customers.update(str(at_stripe(world).customer), {"balance": 7777})


def an_item(world: World) -> None:
    """Sales add something to the next invoice."""
    subscription = at_stripe(world)
    world.stripe.v1.invoice_items.create(
        {"customer": str(subscription.customer), "subscription": subscription.id, "amount": 7777, "currency": "usd"}
    )


def unended(world: World) -> list[str]:
    return [change.id for change in world.rows(PlanChange) if change.ended_at is None]


def test_what_is_quoted_as_due_now_is_charged_now(world: World, api: Api, at_once: Gateway) -> None:
    api.add_card(world.stripe)
    quote = api.ok("POST", "/subscription/preview", plan="plus", quantity=3)
    change = api.ok("PATCH", "/subscription", quote=quote["token"])
    assert (change["state"], change["subscription"]["plan"], change["client_secret"]) == ("applied", "plus", None)
    paid = invoice_of(at_stripe(world))
    assert (paid.status, paid.amount_paid) == ("paid", quote["amount_due_now"])
    assert quote["amount_due_now"] > 0
    upcoming = world.stripe.v1.invoices.create_preview({"subscription": at_stripe(world).id})
    assert upcoming.amount_due == quote["amount_due_on_billing_date"] == 3 * 25000
    charge_check.check(at_once, change["id"])
    [_, row] = sorted(world.rows(PlanChange), key=lambda each: each.created_at)
    assert (row.charged, row.quoted) == (quote["amount_due_now"], quote["amount_due_now"])
    assert (row.due_now, row.quoted_due_now) == (quote["amount_due_now"], quote["amount_due_now"])
    assert "gateway_plan_changes_mischarged 0.0" in render(world.gateway).decode()


@pytest.mark.parametrize("meddle", [a_balance, an_item])
def test_more_due_now_than_was_quoted_is_an_alarm(
    world: World, api: Api, at_once: Gateway, meddle: Callable[[World], None]
) -> None:
    api.add_card(world.stripe)
    quote = api.ok("POST", "/subscription/preview", plan="plus")
    meddle(world)
    change = api.ok("PATCH", "/subscription", quote=quote["token"])
    with capture_logs() as logs:
        charge_check.check(at_once, change["id"])
    [alarm] = [entry for entry in logs if entry["log_level"] == "error"]
    assert (alarm["quoted_due_now"], alarm["due_now"]) == (quote["amount_due_now"], quote["amount_due_now"] + 7777)
    assert "gateway_plan_changes_mischarged 1.0" in render(world.gateway).decode()


def test_a_card_taken_away_at_stripe_of_which_nobody_told_is_402_and_changes_nothing(world: World, api: Api) -> None:
    card = api.add_card(world.stripe)
    world.settle()
    world.fault("webhook_dropped", times=100)
    world.stripe.v1.payment_methods.detach(card)
    assert api.problem("PATCH", "/subscription", plan="plus") == (402, "payment_method_required")
    assert (at_stripe(world).items.data[0].price.unit_amount, unended(world)) == (0, [])


def test_a_declined_card_is_402_and_changes_nothing(world: World, api: Api) -> None:
    api.add_card(world.stripe, DECLINED)
    assert api.problem("PATCH", "/subscription", plan="plus") == (402, "card_declined")
    still = at_stripe(world)
    assert (still.pending_update, still.items.data[0].price.unit_amount, still.status) == (None, 0, "active")
    assert invoice_of(still).status == "void"
    world.settle()
    assert api.ok("GET", "/subscription")["plan"] == "free"
    assert unended(world) == []
    api.add_card(world.stripe)
    assert api.ok("PATCH", "/subscription", plan="plus")["state"] == "applied"


def test_a_card_that_asks_its_holder_gives_the_plan_once_they_approved(world: World, api: Api) -> None:
    change = upgrade_that_waits(world, api)
    assert (change["state"], change["subscription"]["plan"]) == ("requires_action", "free")
    world.settle()
    assert api.ok("GET", "/subscription")["plan"] == "free"
    assert api.problem("PATCH", "/subscription", plan="plus") == (409, "change_in_progress")
    assert approve(world, change).status == "succeeded"
    world.settle()
    after = api.ok("GET", f"/subscription/changes/{change['id']}")
    assert (after["state"], after["client_secret"], after["subscription"]["plan"]) == ("applied", None, "plus")


def test_what_another_changed_meanwhile_is_not_laid_to_the_change_that_waits(world: World, api: Api) -> None:
    [row] = world.rows(Subscription)
    world.stripe.v1.subscriptions.update(row.id, {"items": [{"id": row.items[0]["id"], "quantity": 4}]})
    upgrade_that_waits(world, api)  # its answer is the first to tell of that
    entry = world.rows(PlanHistory)[-1]
    assert (entry.after["plan"], entry.after["quantity"]) == ("free", 4)
    assert (entry.actor_type, entry.actor, entry.change_id) == ("system", None, None)


def test_an_approval_whose_webhooks_are_lost_is_found_by_the_job(world: World, api: Api, at_once: Gateway) -> None:
    change = upgrade_that_waits(world, api)
    approve(world, change)
    execute.finish(at_once, change["id"])
    assert api.ok("GET", f"/subscription/changes/{change['id']}")["state"] == "applied"


def test_the_holder_may_call_it_off(world: World, api: Api) -> None:
    change = upgrade_that_waits(world, api)
    gone = api.ok("DELETE", f"/subscription/changes/{change['id']}")
    assert (gone["state"], gone["error"]["code"], gone["client_secret"]) == ("abandoned", "payment_abandoned", None)
    assert (at_stripe(world).pending_update, invoice_of(at_stripe(world)).status) == (None, "void")
    assert api.problem("DELETE", f"/subscription/changes/{change['id']}") == (409, "conflict")
    api.add_card(world.stripe)
    assert api.ok("PATCH", "/subscription", plan="plus")["state"] == "applied"


def test_calling_off_what_was_paid_in_this_moment_leaves_it_paid(world: World, api: Api) -> None:
    change = upgrade_that_waits(world, api)
    approve(world, change)
    assert api.ok("DELETE", f"/subscription/changes/{change['id']}")["state"] == "applied"


def test_who_never_approves_stays_where_they_are(world: World, api: Api, stripe_time: StripeTime) -> None:
    change = upgrade_that_waits(world, api)
    stripe_time.ahead = timedelta(hours=24).total_seconds()
    assert at_stripe(world).pending_update is None
    world.settle()
    after = api.ok("GET", f"/subscription/changes/{change['id']}")
    assert (after["state"], after["error"]["code"], after["subscription"]["plan"]) == (
        "abandoned",
        "payment_abandoned",
        "free",
    )


def test_the_job_looks_again_when_stripe_will_have_given_up(
    world: World, api: Api, at_once: Gateway, stripe_time: StripeTime
) -> None:
    change = upgrade_that_waits(world, api)
    execute.finish(at_once, change["id"])
    assert unended(world) == [change["id"]]
    [_, again] = jobs_due(world)
    assert timedelta(hours=22) < again - datetime.now(UTC) < timedelta(hours=24)
    stripe_time.ahead = timedelta(hours=24).total_seconds()
    execute.finish(at_once, change["id"])
    assert unended(world) == []


def jobs_due(world: World) -> list[datetime]:
    """When the jobs that finish the last change are due."""
    query = (
        "SELECT scheduled_at FROM procrastinate_jobs WHERE task_name = 'gateway.finish_change' AND status = 'todo' "
        "AND args ->> 'change_id' = (SELECT id FROM plan_changes ORDER BY created_at DESC LIMIT 1) ORDER BY 1"
    )
    with world.gateway.database.transaction() as session:
        return list(session.connection().exec_driver_sql(query).scalars())


def test_another_organizations_change_cannot_be_called_off(world: World, api: Api) -> None:
    change = upgrade_that_waits(world, api)
    assert world.api("org_2").problem("DELETE", f"/subscription/changes/{change['id']}") == (404, "not_found")


def test_leaving_such_a_plan_gives_the_credit_at_once(world: World, api: Api) -> None:
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
