"""The Stripe calls that a plan change takes, one at a time, their parameters frozen before they are made."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import cast

from sqlalchemy import select
from sqlalchemy.orm import Session
from stripe import StripeClient, Subscription
from stripe.params import SubscriptionCreateParams, SubscriptionUpdateParams

from gateway.catalog import Catalog, Charge
from gateway.db.models import Json, Organization, PlanChange
from gateway.db.models import Subscription as StoredSubscription
from gateway.errors import QuoteStale
from gateway.services.plan_table.derive import FREE
from gateway.services.subscription import policy
from gateway.services.subscription.billing_state import BillingState, choose_charge, load_billing_state
from gateway.stripe_api.snapshots import CHANGE_ID, ORGANIZATION_ID
from gateway.stripe_api.times import to_unix

SETTLEMENT: Mapping[Charge, SubscriptionUpdateParams] = MappingProxyType(
    {
        # What the rest of the period costs waits as pending items for the billing date. Said explicitly in each call,
        # as is the flexible billing mode on which it rests.
        "on_billing_date": {"proration_behavior": "create_prorations"},
        # It is invoiced at once, and a change that is not paid is parked. What shows its payment is asked for here.
        "now": {
            "proration_behavior": "always_invoice",
            "payment_behavior": "pending_if_incomplete",
            "expand": ["latest_invoice.payments"],
        },
    }
)
CREATE, UPDATE = "create_subscription", "update_subscription"
# Among a change's steps: of each call, how many of its keys are of no use any more; and what the update was made from.
KEYS_SPENT, MADE_FROM = "keys_spent", "made_from"
KEY_LIFETIME = timedelta(hours=23)  # Stripe forgets a key after 24 hours: a later try could act again


@dataclass(frozen=True, kw_only=True)
class Step:
    """One call. ``subscription_id`` is None for the one that creates it."""

    name: str
    change_id: str
    subscription_id: str | None
    params: Json
    keys_spent: int
    after_revision: int | None

    def perform(self, stripe: StripeClient) -> Subscription:
        """Make the call. The key derives from the change: whoever repeats it, Stripe does it once."""
        key = f"{self.change_id}:{self.name}" + (f":{self.keys_spent}" if self.keys_spent else "")
        if self.subscription_id is None:
            return stripe.v1.subscriptions.create(
                cast("SubscriptionCreateParams", self.params), {"idempotency_key": key}
            )
        return stripe.v1.subscriptions.update(
            self.subscription_id, cast("SubscriptionUpdateParams", self.params), {"idempotency_key": key}
        )


def freeze_next_step(session: Session, catalog: Catalog, change_id: str, now: datetime) -> Step | None:
    """The call to make next; None if the change has ended, waits for its customer, or is too old to be repeated.

    The first call is frozen with the intent already; what is left is what comes after it, or after a crash.
    """
    change = lock_change(session, change_id)
    if change.state not in ("requested", "processing") or is_too_old(change, now):
        return None
    step = freeze(session, catalog, change, load_billing_state(session, change.organization_id))
    change.state = "processing"
    return step


def freeze(session: Session, catalog: Catalog, change: PlanChange, billing: BillingState) -> Step:
    """The call to make from ``billing``; its parameters, once frozen, are kept as long as they fit the subscription.

    Raises CatalogNotSynced, QuoteStale if the subscription is another than the one that was quoted, and what
    ``policy.check_change`` raises: sales may have sold something else since the intent was written.
    """
    subscription = billing.subscription
    name = CREATE if subscription is None else UPDATE
    made_from = describe_items(subscription)
    if change.steps.get(MADE_FROM, made_from) != made_from:
        refreeze(change)
    if subscription is None and CREATE not in change.steps:
        change.steps = {**change.steps, CREATE: build_creation(session, catalog, change, billing)}
    elif subscription is not None and UPDATE not in change.steps:
        policy.check_change(billing.plan_state, catalog.get(change.to_plan), change.quantity)
        change.steps = {**change.steps, UPDATE: build_update(catalog, change, billing), MADE_FROM: made_from}
    return Step(
        name=name,
        change_id=change.id,
        subscription_id=subscription.id if subscription is not None else None,
        params=change.steps[name],
        keys_spent=count_spent_keys(change, name),
        after_revision=subscription.revision if subscription is not None else None,
    )


def describe_items(subscription: StoredSubscription | None) -> list[Json | str]:
    """What an update is made from."""
    if subscription is None:
        return []
    items = [{key: item[key] for key in ("id", "price_id", "quantity")} for item in subscription.items]
    return [subscription.id, *sorted(items, key=lambda item: str(item["id"]))]


def refreeze(change: PlanChange) -> None:
    """Let the update be made anew, from the items that the subscription has by now. Raises QuoteStale.

    Items that were added since then would stay beside Free, and be billed; those that are gone would be refused.
    Another key goes with other parameters. Should the former call be carried out all the same, it asks for the same
    price and quantity of the same item, so the later one of the two finds nothing to change or to charge.
    """
    if change.quoted is not None:
        raise QuoteStale("The subscription has changed since the quote was confirmed.")
    change.steps = {name: step for name, step in change.steps.items() if name not in (UPDATE, MADE_FROM)}
    mark_key_spent(change, UPDATE)


def is_too_old(change: PlanChange, now: datetime) -> bool:
    """Whether a call under one of the change's keys might be done a second time."""
    return now > change.created_at + KEY_LIFETIME


def spend_key(session: Session, step: Step) -> None:
    """Let the next try of a call use another key, unless another process has said so already."""
    change = lock_change(session, step.change_id)
    if count_spent_keys(change, step.name) == step.keys_spent:
        mark_key_spent(change, step.name)


def count_spent_keys(change: PlanChange, name: str) -> int:
    """How many keys of a call are of no use any more."""
    spent: int = change.steps.get(KEYS_SPENT, {}).get(name, 0)
    return spent


def mark_key_spent(change: PlanChange, name: str) -> None:
    """The key that a call has now is of no use any more."""
    spent = {**change.steps.get(KEYS_SPENT, {}), name: count_spent_keys(change, name) + 1}
    change.steps = {**change.steps, KEYS_SPENT: spent}


def lock_change(session: Session, change_id: str) -> PlanChange:
    """The change, held together with its organization: no merge can end it meanwhile."""
    # The organization first, as the merge does it: the other way round the two would deadlock over its foreign key.
    owner = select(PlanChange.organization_id).where(PlanChange.id == change_id).scalar_subquery()
    session.execute(select(Organization.id).where(Organization.id == owner).with_for_update())
    return session.get_one(PlanChange, change_id, with_for_update=True, populate_existing=True)


def build_creation(session: Session, catalog: Catalog, change: PlanChange, billing: BillingState) -> Json:
    """Enrolment: a subscription to Free, a real price of 0, in the flexible billing mode that the swap rests on."""
    organization = session.get_one(Organization, change.organization_id)
    metadata = {ORGANIZATION_ID: organization.id}
    if change.to_plan == FREE:  # otherwise the change is not carried out yet
        metadata[CHANGE_ID] = change.id
    params: SubscriptionCreateParams = {
        "customer": organization.stripe_customer_id or "",
        "items": [{"price": billing.get_price_id(catalog.get(FREE)), "quantity": 1}],
        "billing_mode": {"type": "flexible"},
        "metadata": metadata,
    }
    return dict(params)


def build_update(catalog: Catalog, change: PlanChange, billing: BillingState) -> Json:
    """The swap of the base item's price, prorated from the quote's second, or else from the one Stripe does it in."""
    target = catalog.get(change.to_plan)
    params: SubscriptionUpdateParams = {
        "items": billing.build_update_items(target, change.quantity),
        "metadata": {CHANGE_ID: change.id},
        **SETTLEMENT[choose_charge(catalog, change.from_plan, target)],
    }
    if change.proration_date is not None:
        params["proration_date"] = to_unix(change.proration_date)
    return dict(params)
