"""A gateway, its Stripe and the operations that integration tests need on them."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from flask.testing import FlaskClient
from sqlalchemy import select, text
from stripe import StripeClient
from stripe.params import EventListParams

from gateway.auth import SCOPES, issue_development_token
from gateway.db.models import Base, OrganizationPlan
from gateway.sandbox import Sandbox
from gateway.services.runtime import Caller, Gateway
from gateway.services.webhooks.wakeup import defer_drain
from gateway.tasks import build_worker
from tests.support.api import ApiClient
from tests.support.faults import SandboxFaults
from tests.support.kept_worker import run_due_jobs
from tests.support.wait import eventually

NOWHERE = "http://127.0.0.1:1"
CALLER = Caller(organization_id="org_1", actor="test")
Row = TypeVar("Row", bound=Base)


@dataclass
class World(SandboxFaults):
    """A gateway in this process and the sandbox that stands in for Stripe."""

    gateway: Gateway
    stripe: StripeClient
    sandbox: Sandbox
    client: FlaskClient

    def api(self, organization_id: str = "org_1", scopes: tuple[str, ...] = SCOPES) -> ApiClient:
        """Return a client that calls the interface as ``organization_id``."""
        return ApiClient(self.client, self.token(organization_id, scopes))

    def token(self, organization_id: str = "org_1", scopes: tuple[str, ...] = SCOPES) -> str:
        """Return a bearer token for the organization."""
        return issue_development_token(self.gateway.config, organization_id, datetime.now(UTC), scopes=scopes)

    def work(self) -> None:
        """Let a real worker do every due job except reconciliation, which would hide a lost event.

        Enqueue a drain first, because the wake-up thread may not have done so yet.
        """
        defer_drain(self.gateway.database)
        run_due_jobs(build_worker(self.gateway), self.gateway.config.database_url)

    def settle(self) -> None:
        """Wait until Stripe has delivered every event, then process them."""
        self.await_deliveries()
        self.work()

    def await_deliveries(self) -> None:
        """Wait until Stripe has delivered every event."""
        pending: EventListParams = {"delivery_success": False, "limit": 1}
        eventually(lambda: not self.stripe.v1.events.list(pending).data)

    def rows(self, model: type[Row]) -> list[Row]:
        """Return all rows of a table, ordered by primary key."""
        with self.gateway.database.transaction() as session:
            return list(session.scalars(select(model).order_by(*model.__mapper__.primary_key)))

    def blocked(self) -> int:
        """Return how many of the database's sessions wait for a lock."""
        waiting = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        with self.gateway.database.transaction() as session:
            return len(session.execute(text(waiting)).all())

    def plan_row(self, organization_id: str = "org_1") -> OrganizationPlan:
        """Return the organization's row of the plan table."""
        with self.gateway.database.transaction() as session:
            return session.get_one(OrganizationPlan, organization_id)
