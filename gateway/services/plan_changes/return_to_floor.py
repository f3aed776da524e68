"""The return to the floor plan after a trial that Stripe ended, because it knew no payment method.

The plan table shows the floor plan as soon as the gateway learns of the end. The job gives the organization the
subscription again that each organization has.
"""

from functools import partial

from sqlalchemy.orm import Session

from gateway.db.models import BillingIntent, Organization, OrganizationPlan
from gateway.services.intents.completion import Operation, perform
from gateway.services.intents.reservation import Kind, reserve
from gateway.services.mirror.refresh import read_answer
from gateway.services.plan_changes.call_params import build_floor_subscription
from gateway.services.plan_table.rows import load_plans
from gateway.services.runtime import Gateway
from gateway.services.subscription.billing_state import load_billing_state
from gateway.stripe_api.client import stripe_call
from gateway.stripe_api.snapshots import ENDED, Snapshot, SubscriptionSnapshot

CAUSE = "trial ended"


def return_to_floor(gateway: Gateway, organization_id: str) -> None:
    """Run the job that subscribes an organization to the floor plan, unless it has a subscription by now.

    Raise StripeUnavailable, or ChangeInProgress, and the worker then retries the job.
    """
    with gateway.database.reading() as session:
        ended = session.get_one(OrganizationPlan, organization_id).subscription_id
    if ended is None:  # the customer was deleted since
        return
    check = partial(has_no_subscription, gateway, organization_id)
    intent = reserve(gateway, organization_id, Kind.RETURN_TO_FLOOR, ended, check)
    if intent is not None:
        perform(gateway, RETURN, intent)


def has_no_subscription(gateway: Gateway, organization_id: str, session: Session) -> bool:
    """Return whether the organization still has a customer and no running subscription to a plan."""
    deleted = session.get_one(Organization, organization_id, populate_existing=True).deleted
    return not deleted and load_billing_state(session, organization_id, gateway.catalog).subscription is None


def subscribe_to_floor(gateway: Gateway, intent: BillingIntent) -> list[Snapshot]:
    """Subscribe the organization to the floor plan at Stripe, and return the subscription.

    Return the subscriptions that Stripe lists if one of them is to a plan already. Sales may have made it, or an
    earlier try whose answer was lost.
    """
    with gateway.database.reading() as session:
        organization = session.get_one(Organization, intent.organization_id)
        billing = load_billing_state(session, organization.id, gateway.catalog)
        params = build_floor_subscription(organization, gateway.catalog, billing, {})
        plans = load_plans(session)
    with stripe_call():
        page = gateway.stripe.v1.subscriptions.list({"customer": organization.stripe_customer_id or "", "limit": 100})
    found = SubscriptionSnapshot.from_list(page, cause=CAUSE)
    running = (each for each in found if each.status not in ENDED)
    if any(item.product_id in plans.of_product for each in running for item in each.items):
        return [*found]
    with stripe_call():
        answer = gateway.stripe.v1.subscriptions.create(params, {"idempotency_key": intent.id})
    return read_answer(gateway, SubscriptionSnapshot, answer, cause=CAUSE)


def list_objects(_: Gateway, intent: BillingIntent) -> list[tuple[str, str]]:
    """Return the ended subscription."""
    return [(SubscriptionSnapshot.kind, intent.object_id)]


RETURN = Operation(call=subscribe_to_floor, list_objects=list_objects)
