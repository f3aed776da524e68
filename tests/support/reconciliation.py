"""What the tests of reconciliation share."""

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
    """From now on nothing is delivered."""
    world.settle()
    request_fault(sandbox.url, kind="webhook_dropped", times=10_000)


def walk_gap(world: World, *, dry_run: bool = False) -> Progress:
    """The end of a whole walk."""
    return list(gap.walk(world.gateway, HANDLED, dry_run=dry_run))[-1]


def tables(world: World) -> dict[str, Sequence[Any]]:
    """Everything that is stored, the job queue included.

    But for the count of the calls themselves, and for the drains: the wake-up after a webhook is another thread's, and
    may enqueue one at any time.
    """
    names = Base.metadata.tables.keys() - {"stripe_budget"}
    with world.gateway.database.transaction() as session:
        stored = {name: session.execute(text(f"SELECT * FROM {name} ORDER BY 1")).all() for name in names}  # noqa: S608 - our own names
        others = text("SELECT * FROM procrastinate_jobs WHERE task_name <> :drain ORDER BY id")
        return {**stored, "procrastinate_jobs": session.execute(others, {"drain": jobs.DRAIN_INBOX}).all()}


def subscription_items(world: World) -> tuple[str, str]:
    """Ids of the subscription and of its item, at Stripe."""
    [found] = world.stripe.v1.subscriptions.list().to_dict()["data"]
    return found["id"], found["items"]["data"][0]["id"]


def set_quantity_at_stripe(world: World, quantity: int) -> None:
    """As sales does in the dashboard."""
    subscription, item = subscription_items(world)
    world.stripe.v1.subscriptions.update(subscription, {"items": [{"id": item, "quantity": quantity}]})
