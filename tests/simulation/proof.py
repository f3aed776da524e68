"""No organization is above its proof of payment. The rules here are those of the documents, not of the code."""

from typing import TYPE_CHECKING

from sqlalchemy import select

from gateway.db.models import Organization, OrganizationPlan
from tests.simulation.lives import Step, items_of
from tests.simulation.plan_costs import price_of
from tests.support.json_types import Json

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

BEFORE_PAYMENT, AFTER_PAYMENT = 250_000, 2_500_000
"""What an organization may owe for a month, in cents."""


def check_proof(world: "Simulation", lives: dict[str, list[Step]]) -> None:
    """Check the plan that each organization may use, and each purchase that the gateway has let it make."""
    query = select(OrganizationPlan, Organization.stripe_customer_id).join(
        Organization, Organization.id == OrganizationPlan.organization_id
    )
    with world.gateway.gateway.database.transaction() as session:
        rows = session.execute(query).all()
    for row, customer in rows:
        if row.plan != "free" and customer not in world.others.meddled:
            assert row.subscription_id is not None, f"{row.organization_id} uses {row.plan} without a subscription"
            check_usable(world, row, lives[row.subscription_id][-1].after)
    for life in lives.values():
        if life[0].after["customer"] not in world.others.meddled:
            for step in life:
                if step.begun_at is not None and is_purchase(step):
                    check_purchase(world, step)


def check_usable(world: "Simulation", row: OrganizationPlan, subscription: Json) -> None:
    """Check that a paid plan is on trial, or that Stripe has a payment method to charge and has not given up."""
    name = f"{row.organization_id} uses {row.plan}"
    if subscription["status"] == "trialing":
        assert subscription["trial_end"] > world.clock(), f"{name} after its trial"
        return
    assert subscription["status"] in ("active", "past_due"), f"{name} with a subscription {subscription['status']}"
    customer = world.stripe.engine.store.find("customer", subscription["customer"]) or {}
    method = subscription["default_payment_method"] or customer["invoice_settings"]["default_payment_method"]
    assert method is not None, f"{name} without a payment method"
    for invoice in world.stripe.list_all("invoice", customer["id"]):
        given_up = invoice["status"] == "open" and invoice["attempted"] and invoice["next_payment_attempt"] is None
        assert not given_up, f"{name} and did not pay {invoice['id']}"


def is_purchase(step: Step) -> bool:
    """Return whether the plan costs more than before."""
    return step.after["status"] == "active" and sum_prices(step.after) > sum_prices(step.before)


def sum_prices(subscription: Json | None) -> int:
    """Return what one period of all items costs."""
    return sum(price_of(each) or 0 for each in items_of(subscription))


def check_purchase(world: "Simulation", step: Step) -> None:
    """Check that what was bought is paid, or that the organization may owe it."""
    invoices = [each for each in world.stripe.list_all("invoice", step.after["customer"]) if each["created"] <= step.at]
    if any(paid_for(each, step) for each in invoices):
        return
    bound = AFTER_PAYMENT if any(each["amount_paid"] for each in invoices) else BEFORE_PAYMENT
    cost = sum_prices(step.after)
    months = 12 if any(each["price"]["recurring"]["interval"] == "year" for each in items_of(step.after)) else 1
    assert cost <= bound * months, f"{step.after['customer']} may owe {cost} and has no more than {bound} a month"
    assert world.charge == "on_billing_date", f"{step.after['customer']} bought {cost} and did not pay"


def paid_for(invoice: Json, step: Step) -> bool:
    """Return whether an invoice paid for the change."""
    details = (invoice["parent"] or {}).get("subscription_details") or {"metadata": {}}
    named: str | None = details["metadata"].get("change_id")
    return str(invoice["status"]) == "paid" and named == str(step.after["metadata"]["change_id"])
