"""The probe moves an organization of its own to a paid plan and back, and measures how long webhooks take to tell us.

It changes the subscription at Stripe, as somebody does in the dashboard. So only a webhook can bring the new plan.
"""

import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import func, select

from gateway.catalog import CatalogPlan
from gateway.db.checks import store_result
from gateway.db.models import Check, OrganizationPlan, WebhookEvent
from gateway.errors import InvalidRequest, StripeRejected, StripeUnavailable
from gateway.services.operations.probe_results import DOWNGRADE, UPGRADE
from gateway.services.operations.reachability import explain_stripe
from gateway.services.plan_changes.request import change_plan
from gateway.services.runtime import Caller, Gateway
from gateway.services.subscription.billing_state import BillingState, load_billing_state
from gateway.services.subscription.pricing import build_update_items
from gateway.stripe_api.client import stripe_call
from schemas.changes import ChangeCommand

ORGANIZATION = "gateway-probe"
PATIENCE = timedelta(minutes=1)
PAUSE = 0.1  # second between two looks at the plan table


@dataclass(frozen=True, slots=True)
class Seen:
    """What the database shows of the probe's organization."""

    plan: str
    deliveries: int
    """How many events about the subscription Stripe has delivered."""


def run_probe(gateway: Gateway, *, patience: timedelta = PATIENCE) -> Iterator[Check]:
    """Upgrade and downgrade the probe's organization. Yield and store the result of each.

    Raise InvalidRequest with a live key, because the probe would buy something. Raise what an enrolment raises.
    """
    if gateway.config.livemode:
        raise InvalidRequest("The probe buys a plan, so it needs a test key. This deployment has a live key.")
    sold = (each for each in gateway.catalog.plans if not (each.is_floor or each.sales or each.archived))
    plan = next(sold, None)
    if plan is None:
        raise InvalidRequest("The catalogue sells no plan that the probe could buy.")
    billing = load(gateway)
    if billing.subscription is None:
        caller = Caller(organization_id=ORGANIZATION, actor=ORGANIZATION)
        change_plan(gateway, caller, ChangeCommand(plan=gateway.catalog.floor.key, enroll=True))
    elif billing.plan_state.requested_plan != gateway.catalog.floor.key:  # the run before was killed
        move(gateway, gateway.catalog.floor, patience)
    for name, target in ((UPGRADE, plan), (DOWNGRADE, gateway.catalog.floor)):
        problem, seconds = move(gateway, target, patience)
        result = Check(name=name, problem=problem, checked_at=gateway.clock(), seconds=seconds)
        store_result(gateway.database, name, problem, result.checked_at, seconds)
        yield result


def move(gateway: Gateway, plan: CatalogPlan, patience: timedelta) -> tuple[str | None, float | None]:
    """Move the subscription to a plan at Stripe. Return the problem, or the seconds until webhooks have brought it."""
    billing = load(gateway)
    if billing.subscription is None:
        return "its subscription does not run", None
    before, began = look(gateway, billing.subscription.id), time.monotonic()
    try:
        with stripe_call():
            gateway.stripe.v1.subscriptions.update(
                billing.subscription.id,
                {"items": build_update_items(billing, plan, 1), "proration_behavior": "none"},
                {"idempotency_key": f"probe:{uuid.uuid4().hex}"},
            )
    except (StripeRejected, StripeUnavailable) as error:
        return f"Stripe did not change the subscription: {explain_stripe(error)}", None
    while time.monotonic() - began < patience.total_seconds():
        now = look(gateway, billing.subscription.id)
        if now.plan == plan.key and now.deliveries > before.deliveries:
            return None, time.monotonic() - began
        time.sleep(PAUSE)
    arrived = "arrived, but the plan did not follow" if now.deliveries > before.deliveries else "did not arrive"
    return f"Stripe's webhook {arrived} within {patience.total_seconds():.0f} seconds", None


def load(gateway: Gateway) -> BillingState:
    """Load the billing state of the probe's organization."""
    with gateway.database.reading() as session:
        return load_billing_state(session, ORGANIZATION, gateway.catalog)


def look(gateway: Gateway, subscription_id: str) -> Seen:
    """Return the plan of the probe's organization, and the number of deliveries about its subscription."""
    delivered = (WebhookEvent.object_id == subscription_id, WebhookEvent.source == "webhook")
    with gateway.database.reading() as session:
        row = session.get_one(OrganizationPlan, ORGANIZATION)
        return Seen(row.requested_plan, session.scalar(select(func.count()).where(*delivered)) or 0)
