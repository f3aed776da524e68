"""The Stripe calls of a plan change, one at a time. The gateway stores their parameters before it makes them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, cast
from urllib.parse import quote

from sqlalchemy import select
from sqlalchemy.orm import Session
from stripe import StripeClient, StripeResponse

from gateway.catalog import Catalog
from gateway.db.models import FINAL_USAGE, LATEST_INVOICE, MADE_FROM, UNSETTLED, Invoice, Organization, PlanChange
from gateway.db.models import Subscription as StoredSubscription
from gateway.errors import QuoteStale
from gateway.json_types import Json
from gateway.services.plan_changes.call_params import build_creation, build_update
from gateway.services.plan_table.foreign_ends import describe_usage
from gateway.services.subscription import policy
from gateway.services.subscription.billing_state import BillingState, load_billing_state
from gateway.services.subscription.trials import is_trialing
from gateway.stripe_api.idempotency_keys import KEY_LIFETIME
from gateway.stripe_api.snapshots import TRIALING

if TYPE_CHECKING:
    from stripe.params import SubscriptionCancelParams

HELD_BACK = "pending_if_incomplete"
CREATE, UPDATE = "create_subscription", "update_subscription"
CANCEL = "cancel:"  # begins the name of the call that ends a duplicate, and the subscription's id follows
KEYS_SPENT = "keys_spent"  # key of ``PlanChange.steps``: the number of spent idempotency keys of each call


@dataclass(frozen=True, kw_only=True)
class Step:
    """One call with its frozen parameters. ``subscription_id`` is None for the call that creates the subscription."""

    name: str
    change_id: str
    subscription_id: str | None
    params: Json
    keys_spent: int
    after_revision: int | None
    leaves_unpaid: bool
    """Whether an invoice was not paid before the call, so that Stripe may credit time that was never paid."""

    @property
    def is_held_back(self) -> bool:
        """Return whether Stripe parks the change until the cardholder approves the payment."""
        return self.params.get("payment_behavior") == HELD_BACK

    @property
    def removes_items(self) -> bool:
        """Return whether the call removes metered items, so that Stripe bills no later usage of them."""
        return any(item.get("deleted") for item in self.params.get("items", ()))

    def perform(self, stripe: StripeClient) -> StripeResponse:
        """Make the call. Its idempotency key derives from the change, so Stripe carries out a repeated call once."""
        key = f"{self.change_id}:{self.name}" + (f":{self.keys_spent}" if self.keys_spent else "")
        path = "/v1/subscriptions"
        if self.subscription_id is not None:
            path += f"/{quote(self.subscription_id, safe='')}"
        if self.name.startswith(CANCEL):  # Stripe ignores keys of a DELETE, and answers a repeated one with 404
            return cast("StripeResponse", stripe.raw_request("delete", path, **self.params))
        return cast("StripeResponse", stripe.raw_request("post", path, **self.params, idempotency_key=key))


def freeze_next_step(session: Session, catalog: Catalog, change_id: str, now: datetime) -> Step | None:
    """Freeze and return the call to make next.

    Return None if the change has ended, waits for its customer, or is too old to repeat a call. ``write_intent`` has
    frozen the first call already, so this one follows it, or resumes the change after a crash.
    """
    change = lock_change(session, change_id)
    if change.state not in ("requested", "processing") or is_too_old(change, now):
        return None
    step = freeze(session, catalog, change, load_billing_state(session, change.organization_id, catalog))
    change.state = "processing"
    return step


def freeze(session: Session, catalog: Catalog, change: PlanChange, billing: BillingState) -> Step:
    """Store and return the call to make from ``billing``. Keep frozen parameters that still fit the subscription.

    Raise CatalogNotSynced and NoImmediateCharge. Raise QuoteStale if the subscription is not the quoted one. Raise
    what ``policy.check_change`` raises, because sales may have sold another plan since the intent was written.
    """
    subscription = billing.subscription
    if change.to_plan == catalog.floor.key and billing.duplicates:
        return freeze_ending(session, change, billing, min(billing.duplicates))
    name = CREATE if subscription is None else UPDATE
    made_from = describe_items(subscription)
    if change.steps.get(MADE_FROM, made_from) != made_from:
        refreeze(change)
    if subscription is None and CREATE not in change.steps:
        change.steps = {**change.steps, CREATE: build_creation(session, catalog, change, billing)}
    elif subscription is not None and UPDATE not in change.steps:
        target = catalog.get(change.to_plan)
        moved = billing.with_interval(change.interval).with_target(target)
        transition = policy.check_change(catalog, billing.plan_state, target, change.quantity, moved.contract)
        buys = policy.Need.CARD in transition.needs
        update = build_update(catalog, change, moved, buys=buys)
        latest = subscription.latest_invoice_id
        change.steps = {**change.steps, UPDATE: update, MADE_FROM: made_from, LATEST_INVOICE: latest}
        if target.is_floor and (final := describe_final_usage(subscription, update)) is not None:
            change.steps = {**change.steps, FINAL_USAGE: final}
        note_unsettled(change, billing.unsettled_renewals)
    return Step(
        name=name,
        change_id=change.id,
        subscription_id=subscription.id if subscription is not None else None,
        params=change.steps[name],
        keys_spent=count_spent_keys(change, name),
        after_revision=subscription.revision if subscription is not None else None,
        leaves_unpaid=UNSETTLED in change.steps,
    )


def freeze_ending(session: Session, change: PlanChange, billing: BillingState, subscription_id: str) -> Step:
    """Store and return the call that ends one duplicate. Cancel plan ends all of them before it changes the plan.

    Stripe credits the unused time, and bills the usage and all pending prorations on a final invoice.
    https://docs.stripe.com/api/subscriptions/cancel
    """
    name = f"{CANCEL}{subscription_id}"
    params: SubscriptionCancelParams = {"prorate": True, "invoice_now": True}
    change.steps = {**change.steps, name: dict(params)}
    row = session.get_one(StoredSubscription, subscription_id)
    begins = min(datetime.fromisoformat(item["current_period_start"]) for item in row.items)
    # Include paid invoices. Stripe writes a negative final invoice off, and the withdrawal then credits the paid time.
    of_period = select(Invoice.id).where(Invoice.subscription_id == subscription_id, Invoice.created >= begins)
    # The mirror may lack the last one.
    latest = [row.latest_invoice_id] if row.latest_invoice_id is not None else []
    note_unsettled(change, [*billing.list_unsettled(subscription_id), *session.scalars(of_period), *latest])
    return Step(
        name=name,
        change_id=change.id,
        subscription_id=subscription_id,
        params=dict(params),
        keys_spent=0,
        leaves_unpaid=False,
        after_revision=row.revision,
    )


def note_unsettled(change: PlanChange, invoices: Sequence[str]) -> None:
    """Store the invoices whose credits must be checked after the change."""
    if invoices:
        change.steps = {**change.steps, UNSETTLED: sorted({*change.steps.get(UNSETTLED, ()), *invoices})}


def describe_items(subscription: StoredSubscription | None) -> list[Json | str]:
    """Return what an update depends on: the subscription's id, its trial, and its items with prices and quantities."""
    if subscription is None:
        return []
    items = [{key: item[key] for key in ("id", "price_id", "quantity")} for item in subscription.items]
    trial = [TRIALING] if is_trialing(subscription) else []  # after the trial, ending it would restart the paid period
    return [subscription.id, *trial, *sorted(items, key=lambda item: str(item["id"]))]


def describe_final_usage(subscription: StoredSubscription, update: Json) -> Json | None:
    """Return the metered items that the update removes, with their prices and the period whose usage they bill.

    Return None if Stripe bills no usage with the update, as within a trial.
    """
    removed = {item["id"] for item in update["items"] if item.get("deleted")}
    if update["proration_behavior"] == "none":
        return None
    return describe_usage(item for item in subscription.items if item["id"] in removed)


def refreeze(change: PlanChange) -> None:
    """Discard the frozen update, so that ``freeze`` builds it from the present items. Raise QuoteStale.

    The old update is dangerous after the items have changed. Stripe would keep and bill a new item beside the floor
    plan, and refuse an item that is gone. Other parameters need another idempotency key. If Stripe still carries the
    old call out, it asks for the same price and quantity of the same item. The later one of the two calls then finds
    nothing to change or to charge.
    """
    if change.quoted is not None:
        raise QuoteStale("The subscription has changed since the quote was confirmed.")
    change.steps = {name: step for name, step in change.steps.items() if name not in (UPDATE, MADE_FROM, FINAL_USAGE)}
    mark_key_spent(change, UPDATE)


def is_too_old(change: PlanChange, now: datetime) -> bool:
    """Return whether Stripe may have forgotten the change's keys. A repeated call could then act a second time."""
    return now > change.created_at + KEY_LIFETIME


def spend_key(session: Session, step: Step) -> None:
    """Make the next try of a call use another key, unless another process has already spent this one."""
    change = lock_change(session, step.change_id)
    if count_spent_keys(change, step.name) == step.keys_spent:
        mark_key_spent(change, step.name)


def count_spent_keys(change: PlanChange, name: str) -> int:
    """Return how many idempotency keys of a call are spent."""
    spent: int = change.steps.get(KEYS_SPENT, {}).get(name, 0)
    return spent


def mark_key_spent(change: PlanChange, name: str) -> None:
    """Mark the present key of a call as spent, so that the next try uses another one."""
    spent = {**change.steps.get(KEYS_SPENT, {}), name: count_spent_keys(change, name) + 1}
    change.steps = {**change.steps, KEYS_SPENT: spent}


def lock_change(session: Session, change_id: str) -> PlanChange:
    """Lock the change and its organization, so that no merge can end the change until the transaction ends."""
    # Lock the organization first, as the merge does. The reverse order would deadlock over the foreign key.
    owner = select(PlanChange.organization_id).where(PlanChange.id == change_id).scalar_subquery()
    session.execute(select(Organization.id).where(Organization.id == owner).with_for_update())
    return session.get_one(PlanChange, change_id, with_for_update=True, populate_existing=True)
