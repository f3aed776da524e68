"""What must hold whenever everything is delivered and done. Nothing here uses the gateway's own rules."""

import hashlib
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from sqlalchemy import select, text

from gateway.db.models import Base, Notification, Organization, PlanChange, PlanHistory, RateLimitCount, WebhookEvent
from gateway.services.reconciliation import drift
from gateway.services.reconciliation.differences import Cause
from handlers import HANDLERS
from tests.simulation.lives import read_lives
from tests.simulation.money import check_money
from tests.simulation.proof import check_proof
from tests.stateful.convergence.expected import Expected
from tests.stateful.convergence.found import check_changes, check_history, check_tables
from tests.stateful.convergence.stepped_gateway import SteppedGateway
from tests.support.clock import DAY
from tests.support.stripe_account import StripeAccount

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

PLAN = ("plan", "requested_plan", "quantity")
ROWS_KEPT = 170 * DAY
"""The inbox keeps its rows a little longer."""
JOBS = text("SELECT task_name, args, status, scheduled_at FROM procrastinate_jobs ORDER BY id")


class Settled(SteppedGateway):
    """The simulation as the checks of the convergence tests see it."""

    def __init__(self, world: "Simulation") -> None:
        self.clock = world.clock  # type: ignore[assignment]  # it has the same call
        self.skew = 0
        self.account = StripeAccount.__new__(StripeAccount)
        self.account.client, self.account.v1 = world.stripe.client, world.stripe.v1
        self.gateway = world.gateway.gateway
        self.events = world.stripe.events
        self.delivered = set()


def check_all(world: "Simulation") -> None:
    """Check everything. Raise AssertionError with what does not hold."""
    assert world.gateway.failed == [], world.gateway.failed
    check_events(world)
    check_notifications(world)
    check_plans(world)
    check_quotes(world)
    lives = read_lives(world)
    check_money(world, lives)
    check_proof(world, lives)


def check_plans(world: "Simulation") -> None:
    """Check that the tables are as Stripe's state says, and that the history led there."""
    stage = Settled(world)
    expected = Expected(stage)
    tables = {name: table for name, table in expected.tables.items() if name not in ("upcoming_invoices", "prices")}
    check_tables(stage, expected, tables)
    check_history(stage, expected)
    check_changes(stage)
    pages = drift.walk(world.gateway.gateway)
    found = [each for page in pages for each in page.differences if each.cause != Cause.DUPLICATE_SUBSCRIPTION]
    assert found == [], f"the walk found {found}"


def check_quotes(world: "Simulation") -> None:
    """Check that each change charged what its quote said, unless somebody refunded or edited something in between."""
    query = select(PlanChange, Organization.stripe_customer_id).join(
        Organization, Organization.id == PlanChange.organization_id
    )
    with world.gateway.gateway.database.transaction() as session:
        for change, customer in session.execute(query.where(PlanChange.quoted.is_not(None))):
            if change.state == "applied" and customer not in world.others.meddled:
                said, charged = (change.quoted, change.quoted_due_now), (change.charged, change.due_now)
                assert said == charged, f"{change.id} of {change.organization_id} charged {charged} instead of {said}"


def check_events(world: "Simulation") -> None:
    """Check that every event that Stripe made is in the inbox and done."""
    since = world.clock() - ROWS_KEPT
    with world.gateway.gateway.database.transaction() as session:
        states = {row.id: row.state for row in session.execute(select(WebhookEvent.id, WebhookEvent.state))}
    for event in world.stripe.events:
        if event["type"] in HANDLERS and event["created"] >= since:
            state = states.get(event["id"], "lost")
            assert state in ("done", "ignored"), f"{event['type']} {event['id']} is {state}"


def check_notifications(world: "Simulation") -> None:
    """Check that Konnect got each notification, in the order in which the gateway wrote those of an organization."""
    arrived = {number: place for place, number in enumerate(world.receiver.messages)}
    with world.gateway.gateway.database.transaction() as session:
        rows = session.scalars(select(Notification).order_by(Notification.position)).all()
        history = session.scalars(select(PlanHistory).order_by(PlanHistory.organization_id, PlanHistory.version)).all()
    last: dict[str, int] = {}
    for row in rows:
        assert row.id in arrived, f"{row.type} of {row.organization_id} has not arrived: {row.error}"
        assert row.delivered_at is not None, f"{row.type} of {row.organization_id} is not delivered"
        assert last.get(row.organization_id, -1) < arrived[row.id], (
            f"{row.type} of {row.organization_id} overtook another"
        )
        last[row.organization_id] = arrived[row.id]
    changed = defaultdict(list)
    for message in world.receiver.messages.values():
        if message["type"] == "plan.changed":
            changed[message["data"]["organization_id"]].append(message["data"]["version"])
    wanted = defaultdict(list)
    for entry in history:
        before: Any = entry.before or {"plan": "free", "requested_plan": "free", "quantity": 1}
        if any(before[name] != entry.after[name] for name in PLAN):
            wanted[entry.organization_id].append(entry.version)
    assert changed == wanted, "the notified changes of plans differ from the history"


def digest(world: "Simulation") -> str:
    """Return a hash of the tables, of all events at Stripe and of everything that Konnect was told."""
    found = hashlib.sha256()
    with world.gateway.gateway.database.transaction() as session:
        for table in Base.metadata.sorted_tables:
            if table.name == RateLimitCount.__tablename__:
                continue  # its windows end by PostgreSQL's own clock, and here no limit is ever reached
            rows = session.execute(select(table).order_by(*table.primary_key)).all()
            found.update(repr([table.name, *rows]).encode())
        found.update(repr(session.execute(JOBS).all()).encode())
    found.update(repr(world.stripe.events).encode())
    found.update(repr(world.receiver.messages).encode())
    return found.hexdigest()
