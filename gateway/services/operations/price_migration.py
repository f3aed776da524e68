"""Move subscriptions from old prices to those of the catalogue. Only an operator starts this.

The amount of the quantity changes with the next period, without prorations. A metered price changes immediately, and
Stripe bills the usage up to then at the old one. A subscription that has moved is on no old price, so a later run
resumes with the others.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Literal

from sqlalchemy import select
from sqlalchemy.orm import Session
from stripe import Subscription as StripeSubscription

from gateway.db.models import BillingIntent, Subscription
from gateway.errors import DatabaseUnavailable, GatewayError, StripeUnavailable
from gateway.services.intents.completion import Operation, perform
from gateway.services.intents.reservation import Kind, reserve
from gateway.services.mirror.refresh import load_revision, read_answer
from gateway.services.operations.catalog_diff import SOLD_UNDER
from gateway.services.operations.catalog_sync import HOLDERS, find_old_prices
from gateway.services.rate_limits.stripe_budget import Priority, calling_as
from gateway.services.runtime import Gateway
from gateway.services.subscription.billing_rows import PRICES
from gateway.stripe_api.client import stripe_call
from gateway.stripe_api.snapshots import ENDED, Snapshot, SubscriptionSnapshot

if TYPE_CHECKING:
    from stripe.params import (
        InvoiceCreatePreviewParams,
        SubscriptionUpdateParams,
        SubscriptionUpdateParamsItem,
    )

CAUSE = "catalog migration"


@dataclass(frozen=True)
class Move:
    """One item and the price that it gets."""

    item_id: str
    quantity: int | None
    """None for a metered item."""
    price_id: str

    def to_params(self) -> "SubscriptionUpdateParamsItem":
        """Return the parameters of an update. Without the quantity, a new price would reset it to 1."""
        params: SubscriptionUpdateParamsItem = {"id": self.item_id, "price": self.price_id}
        return params if self.quantity is None else params | {"quantity": self.quantity}


@dataclass(frozen=True, kw_only=True)
class Migration:
    """One subscription, what its next invoice costs before and after the move, and why it was not moved."""

    organization_id: str
    subscription_id: str
    before: int | None = None
    after: int | None = None
    currency: str | None = None
    refusal: str | None = None

    def __str__(self) -> str:
        """Return a line for people. The amounts are in minor units."""
        start = f"{self.organization_id}  {self.subscription_id}"
        if self.refusal is not None:
            return f"{start}  NOT moved: {self.refusal}"
        return f"{start}  next invoice {self.before} → {self.after} {(self.currency or '').upper()}"


def migrate_subscribers(gateway: Gateway, *, dry_run: bool) -> Iterator[Migration]:
    """Quote and move each running subscription that has an item at an old price. A dry run only quotes.

    Raise StripeUnavailable. Everything else that stands in the way of one subscription is its refusal.
    """
    old = list(find_old_prices(gateway))
    with gateway.database.reading() as session:
        holders = session.scalars(HOLDERS, {"prices": old}).all()
    for holder in holders:
        with calling_as(Priority.RECONCILIATION):
            result = migrate(gateway, holder, dry_run=dry_run)
        yield result


def migrate(gateway: Gateway, holder: Subscription, *, dry_run: bool) -> Migration:
    """Quote the move of one subscription, and make it unless this is a dry run."""
    migration = Migration(organization_id=holder.organization_id, subscription_id=holder.id, currency=holder.currency)
    if holder.schedule_id is not None:
        return replace(migration, refusal="a schedule controls it")
    if holder.billing_mode == "classic":
        return replace(migration, refusal="it is in classic billing mode")
    try:
        moves = find_moves(gateway, retrieve(gateway, holder.id))
        before = preview(gateway, holder.id, ())
        after = preview(gateway, holder.id, [move for move in moves if move.quantity is not None])
        if not dry_run:
            check = partial(is_running, holder.id)
            intent = reserve(gateway, holder.organization_id, Kind.MOVE_PRICES, holder.id, check)
            if intent is not None:
                perform(gateway, PRICE_MOVE, intent)
    except (StripeUnavailable, DatabaseUnavailable):
        raise
    except GatewayError as error:
        return replace(migration, refusal=error.detail)
    return replace(migration, before=before, after=after)


def is_running(subscription_id: str, session: Session) -> bool:
    """Return whether the subscription has not ended since it was found."""
    return session.get_one(Subscription, subscription_id, populate_existing=True).status not in ENDED


def retrieve(gateway: Gateway, subscription_id: str) -> StripeSubscription:
    """Return the subscription as Stripe has it now. Its prices show the lookup keys that they had."""
    with stripe_call():
        return gateway.stripe.v1.subscriptions.retrieve(subscription_id)


def find_moves(gateway: Gateway, subscription: StripeSubscription) -> list[Move]:
    """Return the move of each item at an old price to the price that Stripe sells at now under its lookup key.

    A price in another currency or interval is no successor, because it would change more than the amount.
    """
    with gateway.database.reading() as session:
        sold = session.scalar(select(PRICES)) or {}
    moves = []
    for item in subscription["items"].data:
        now = sold.get(item.price.metadata.to_dict().get(SOLD_UNDER, ""))
        recurring = item.price.recurring
        if now is None or recurring is None or now["id"] == item.price.id:
            continue
        if (now["currency"], now["interval"]) != (item.price.currency, recurring.interval):
            continue
        quantity = None if recurring.usage_type == "metered" else item.quantity or 1
        moves.append(Move(item.id, quantity, now["id"]))
    return moves


def preview(gateway: Gateway, subscription_id: str, moves: Sequence[Move]) -> int:
    """Return what Stripe will charge on the billing date, with the moves if there are any."""
    params: InvoiceCreatePreviewParams = {"subscription": subscription_id}
    if moves:
        items = [move.to_params() for move in moves]
        params["subscription_details"] = {"items": items, "proration_behavior": "none"}
    with stripe_call():
        return gateway.stripe.v1.invoices.create_preview(params).amount_due


def move_prices(gateway: Gateway, intent: BillingIntent) -> list[Snapshot]:
    """Swap the prices at Stripe, and return the subscription.

    A repeated call finds the items that have not moved yet. Stripe bills usage only with prorations, and nothing
    else may be prorated. So the metered items are moved by a call of their own.
    """
    revision = load_revision(gateway, SubscriptionSnapshot.kind, intent.object_id)
    answer = retrieve(gateway, intent.object_id)
    moves = find_moves(gateway, answer)
    parts: dict[Literal["create_prorations", "none"], list[Move]] = {
        "create_prorations": [move for move in moves if move.quantity is None],
        "none": [move for move in moves if move.quantity is not None],
    }
    for behavior, part in parts.items():
        if part:
            params: SubscriptionUpdateParams = {
                "items": [move.to_params() for move in part],
                "proration_behavior": behavior,
            }
            with stripe_call():
                key = f"{intent.id}:{behavior}"
                answer = gateway.stripe.v1.subscriptions.update(intent.object_id, params, {"idempotency_key": key})
    return read_answer(gateway, SubscriptionSnapshot, answer, cause=CAUSE, after_revision=revision)


def list_objects(_: Gateway, intent: BillingIntent) -> list[tuple[str, str]]:
    """Return the subscription."""
    return [(SubscriptionSnapshot.kind, intent.object_id)]


PRICE_MOVE = Operation(call=move_prices, list_objects=list_objects)
