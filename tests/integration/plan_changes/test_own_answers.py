"""The gateway refuses no request over a state that one of Stripe's answers has already disproved."""

import pytest

from gateway.db.models import Invoice, PlanChange, Subscription
from gateway.services.plan_changes.charge_check import check_charge
from tests.support.api import ApiClient
from tests.support.plans import charge_plus
from tests.support.wait import eventually
from tests.support.world import World

ASKS_ITS_HOLDER = "pm_card_authenticationRequired"
PAYMENT_EVENTS = ("invoice.paid", "invoice.payment_succeeded", "invoice.updated", "invoice_payment.paid")


@pytest.fixture
def api(world: World, api: ApiClient) -> ApiClient:
    """Return the interface of an organization on Free, with a card, where Plus is charged now."""
    charge_plus(world)
    return api


def drop(world: World, *events: str) -> None:
    """Make Stripe drop these webhooks."""
    for event in events:
        world.fault("webhook_dropped", event=event, times=100)


def work_until_told_of_the_invoice(world: World) -> None:
    """Process the webhooks that report the change's invoice as created and open."""

    def is_told() -> bool:
        world.work()
        return len(world.rows(Invoice)) == 2

    eventually(is_told)


def wait(world: World, api: ApiClient) -> PlanChange:
    """Request an upgrade that waits for its customer."""
    api.add_card(world.stripe, ASKS_ITS_HOLDER)
    assert api("PATCH", "/subscription", plan="plus").status_code == 202
    [change] = [each for each in world.rows(PlanChange) if each.state == "requires_action"]
    return change


def approve(world: World, change: PlanChange) -> None:
    assert change.client_secret is not None
    world.stripe.v1.payment_intents.confirm(change.client_secret.split("_secret_")[0])


def test_upgrade_that_was_paid_now_leaves_no_unpaid_invoice_behind(world: World, api: ApiClient) -> None:
    drop(world, *PAYMENT_EVENTS)
    assert api.ok("PATCH", "/subscription", plan="plus")["state"] == "applied"
    work_until_told_of_the_invoice(world)
    assert {(row.status, row.amount_remaining) for row in world.rows(Invoice)} == {("paid", 0)}
    assert api.ok("PATCH", "/subscription", quantity=2)["state"] == "applied"


def test_replayed_answer_leaves_no_unpaid_invoice_behind(world: World, api: ApiClient) -> None:
    drop(world, "*")
    world.fault("response_lost", method="POST", path="/v1/subscriptions/*")
    assert api.ok("PATCH", "/subscription", plan="plus")["state"] == "applied"
    assert [row.status for row in world.rows(Invoice)] == ["paid", "paid"]


def test_upgrade_paid_by_its_customer_leaves_no_unpaid_invoice(world: World, api: ApiClient) -> None:
    change = wait(world, api)
    drop(world, *PAYMENT_EVENTS)
    approve(world, change)

    def is_applied() -> bool:
        world.work()
        return bool(api.ok("GET", f"/subscription/changes/{change.id}")["state"] == "applied")

    eventually(is_applied)
    api.add_card(world.stripe)
    assert api.ok("PATCH", "/subscription", quantity=2)["state"] == "applied"


def test_invoice_that_really_is_unpaid_is_402(world: World, api: ApiClient) -> None:
    api.ok("PATCH", "/subscription", plan="plus")
    customer = str(world.stripe.v1.subscriptions.retrieve(world.rows(Subscription)[0].id).customer)
    v1 = world.stripe.v1
    v1.invoice_items.create({"customer": customer, "amount": 700, "currency": "usd"})
    invoice = v1.invoices.create(
        {"customer": customer, "auto_advance": False, "pending_invoice_items_behavior": "include"}
    )
    v1.invoices.finalize_invoice(invoice.id, {"auto_advance": False})
    world.settle()
    assert api.problem("PATCH", "/subscription", quantity=2) == (402, "unpaid_invoice")
    api.ok("POST", f"/invoices/{invoice.id}/pay")
    assert api.ok("PATCH", "/subscription", quantity=2)["state"] == "applied"


def test_paying_the_invoice_that_a_change_waits_for_ends_the_change(world: World, api: ApiClient) -> None:
    change = wait(world, api)
    customer = str(world.stripe.v1.subscriptions.retrieve(world.rows(Subscription)[0].id).customer)
    good = world.stripe.v1.payment_methods.attach("pm_card_visa", {"customer": customer})
    # As in the dashboard. The gateway refuses another default while the change waits.
    world.stripe.v1.customers.update(customer, {"invoice_settings": {"default_payment_method": good.id}})
    world.settle()  # the gateway charges the payment method that it shows
    drop(world, "*")
    assert api.ok("POST", f"/invoices/{change.pending_invoice_id}/pay")["status"] == "paid"
    assert api.ok("PATCH", "/subscription", quantity=2)["state"] == "applied"


def test_abandoned_change_is_out_of_the_way(world: World, api: ApiClient) -> None:
    change = wait(world, api)
    drop(world, "*")
    assert api.ok("DELETE", f"/subscription/changes/{change.id}")["state"] == "abandoned"
    api.add_card(world.stripe)
    assert api.ok("PATCH", "/subscription", plan="plus")["state"] == "applied"


def test_voided_invoice_of_a_repeated_call_is_no_charge(world: World, api: ApiClient) -> None:
    api.add_card(world.stripe, ASKS_ITS_HOLDER)
    quote = api.ok("POST", "/subscription/preview", plan="plus")
    assert api("PATCH", "/subscription", quote=quote["token"]).status_code == 202
    [change] = [each for each in world.rows(PlanChange) if each.state == "requires_action"]
    # As after a 500, which Stripe would repeat under the same key.
    v1, [subscription] = world.stripe.v1, world.rows(Subscription)
    v1.subscriptions.update(subscription.id, change.steps["update_subscription"])
    world.settle()
    [waiting] = [each.id for each in v1.payment_intents.list().data if each.status == "requires_action"]
    v1.payment_intents.confirm(waiting)
    world.settle()
    assert sorted(str(each.status) for each in v1.invoices.list().data) == ["paid", "paid", "void"]
    check_charge(world.gateway, change.id)
    [row] = [each for each in world.rows(PlanChange) if each.id == change.id]
    assert (row.charged, row.due_now) == (row.quoted, row.quoted_due_now)
