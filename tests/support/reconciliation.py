"""Helpers that the reconciliation tests share."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import text

from gateway.db import jobs
from gateway.db.models import Base
from gateway.sandbox import Sandbox
from gateway.services.reconciliation import gap
from gateway.services.reconciliation.progress import Progress
from handlers import HANDLERS
from tests.support.faults import request_fault
from tests.support.world import World

HANDLED = HANDLERS.keys()


def drop_webhooks(world: World, sandbox: Sandbox) -> None:
    """Process every event so far, then make Stripe drop all further webhooks."""
    world.settle()
    request_fault(sandbox.url, kind="webhook_dropped", times=10_000)


def walk_gap(world: World, *, dry_run: bool = False) -> Progress:
    """Run the gap walk to its end and return its last progress."""
    return list(gap.walk(world.gateway, HANDLED, dry_run=dry_run))[-1]


def tables(world: World) -> dict[str, Sequence[Any]]:
    """Return all stored rows, including the job queue.

    Leave out the count of Stripe calls, which the calls under test change. Leave out drain jobs too, because the
    wake-up thread may enqueue one at any time after a webhook.
    """
    names = Base.metadata.tables.keys() - {"stripe_budget"}
    with world.gateway.database.transaction() as session:
        stored = {name: session.execute(text(f"SELECT * FROM {name} ORDER BY 1")).all() for name in names}  # noqa: S608 - our own names
        others = text("SELECT * FROM procrastinate_jobs WHERE task_name <> :drain ORDER BY id")
        return {**stored, "procrastinate_jobs": session.execute(others, {"drain": jobs.DRAIN_INBOX}).all()}


def subscription_items(world: World) -> tuple[str, str]:
    """Return the ids of Stripe's only subscription and of its item."""
    [found] = world.stripe.v1.subscriptions.list().to_dict()["data"]
    return found["id"], found["items"]["data"][0]["id"]


def set_quantity_at_stripe(world: World, quantity: int) -> None:
    """Change the quantity at Stripe, as sales does in the dashboard."""
    subscription, item = subscription_items(world)
    world.stripe.v1.subscriptions.update(subscription, {"items": [{"id": item, "quantity": quantity}]})
