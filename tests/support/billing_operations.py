"""Billing operations in flight, as the tests of them begin, complete and count them."""

from sqlalchemy import delete, text

from gateway.db.models import BillingIntent, PaymentMethod, PlanChange
from gateway.services.intents.completion import finish_intent
from gateway.services.intents.reservation import Kind, reserve
from gateway.services.runtime import Gateway
from gateway.tasks import OPERATIONS
from tests.support.api import ApiClient
from tests.support.payment_methods import customer_of
from tests.support.plans import charge_plus
from tests.support.world import World


def card_of(world: World) -> str:
    """Return the id of the card on file."""
    [card] = [row for row in world.rows(PaymentMethod) if row.organization_id == "org_1"]
    return card.id


def bill(world: World) -> str:
    """Make an open invoice."""
    v1 = world.stripe.v1
    v1.invoice_items.create({"customer": customer_of(world), "amount": 700, "currency": "usd"})
    invoice = v1.invoices.create(
        {"customer": customer_of(world), "auto_advance": False, "pending_invoice_items_behavior": "include"}
    )
    v1.invoices.finalize_invoice(invoice.id, {"auto_advance": False})
    world.settle()
    return invoice.id


def hold(world: World, kind: Kind, object_id: str) -> BillingIntent:
    """Reserve an operation and do nothing more, like a process that dies right after the commit."""
    intent = reserve(world.gateway, "org_1", kind, object_id, lambda _: True)
    assert intent is not None
    return intent


def finish(world: World, intent_id: str, gateway: Gateway | None = None) -> None:
    """Run the completion job of an intent."""
    finish_intent(gateway or world.gateway, OPERATIONS, intent_id)


def let_go(world: World) -> None:
    """Delete the operation in flight."""
    with world.gateway.database.transaction() as session:
        session.execute(delete(BillingIntent))


def in_flight(world: World) -> list[str]:
    return [row.kind for row in world.rows(BillingIntent)]


def job_count(world: World, task: str) -> int:
    query = text("SELECT count(*) FROM procrastinate_jobs WHERE task_name = :task AND status = 'todo'")
    with world.gateway.database.transaction() as session:
        return int(session.execute(query, {"task": task}).scalar_one())


def charges(world: World) -> list[int]:
    return [each.amount for each in world.stripe.v1.charges.list({"limit": 100}).data if each.paid]


def upgrade_that_waits(world: World, api: ApiClient) -> PlanChange:
    """Charge Plus now, and request an upgrade that waits until its customer approves the payment."""
    charge_plus(world)
    api.add_card(world.stripe, "pm_card_authenticationRequired")
    assert api("PATCH", "/subscription", plan="plus").status_code == 202
    [change] = [row for row in world.rows(PlanChange) if row.state == "requires_action"]
    return change
