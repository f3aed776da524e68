"""What the integration tests say often."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import requests
from flask.testing import FlaskClient
from sqlalchemy import select, text
from stripe import StripeClient
from werkzeug.test import TestResponse

from gateway.auth import SCOPES, issue_development_token
from gateway.db.models import Base, OrganizationPlan
from gateway.services.runtime import Gateway
from gateway.services.webhooks.wakeup import defer_drain
from gateway.tasks import build_worker

Json = dict[str, Any]
Row = TypeVar("Row", bound=Base)


@dataclass
class StripeTime:
    """Stripe's clock: ours, unless a test lets it run ahead."""

    ahead: float = 0

    def __call__(self) -> float:
        """Unix seconds."""
        return time.time() + self.ahead


class Api:
    """The JSON interface as one organization's UI calls it."""

    def __init__(self, client: FlaskClient, token: str) -> None:
        self._client = client
        self._headers = {"Authorization": f"Bearer {token}"}

    def __call__(self, method: str, path: str, **body: Any) -> TestResponse:
        """Call; a body if there is one."""
        return self._client.open(f"/v1{path}", method=method, json=body or None, headers=self._headers)

    def ok(self, method: str, path: str, **body: Any) -> Json:
        """Call, expect success, give the JSON."""
        response = self(method, path, **body)
        assert response.status_code < 300, response.get_data(as_text=True)
        answer: Json = response.get_json()
        return answer

    def problem(self, method: str, path: str, **body: Any) -> tuple[int, str]:
        """Call, expect a problem, give its status and code."""
        return problem_of(self(method, path, **body))

    def add_card(self, stripe: StripeClient, template: str = "pm_card_visa") -> str:
        """Take a card as the browser does with Stripe.js, and make it the default."""
        intent_id = self.ok("POST", "/billing-details/setup-intent")["client_secret"].split("_secret_")[0]
        confirmed = stripe.v1.setup_intents.confirm(intent_id, {"payment_method": template})
        if confirmed.status == "requires_action":  # 3-D Secure: the holder is there, and approves
            confirmed = stripe.v1.setup_intents.confirm(intent_id)
        assert isinstance(confirmed.payment_method, str)
        self.ok("PUT", "/payment-methods/default", payment_method=confirmed.payment_method)
        return confirmed.payment_method


def problem_of(response: TestResponse) -> tuple[int, str]:
    """Status and code of a problem, which must look like one."""
    assert response.content_type == "application/problem+json", response.get_data(as_text=True)
    body: Json = response.get_json()
    assert body["status"] == response.status_code
    assert "Traceback" not in response.get_data(as_text=True)
    return response.status_code, str(body["code"])


@dataclass
class World:
    """A running gateway and its Stripe."""

    gateway: Gateway
    stripe: StripeClient
    client: FlaskClient

    def api(self, organization_id: str = "org_1", scopes: tuple[str, ...] = SCOPES) -> Api:
        """The interface as ``organization_id`` sees it."""
        return Api(self.client, self.token(organization_id, scopes))

    def token(self, organization_id: str = "org_1", scopes: tuple[str, ...] = SCOPES) -> str:
        """A bearer token."""
        return issue_development_token(self.gateway.config, organization_id, datetime.now(UTC), scopes=scopes)

    def work(self) -> None:
        """Let a real worker do every job that is due, but for the walks of reconciliation, which would hide a loss.

        It looks into the inbox in any case: the wake-up may still be on its way.
        """
        defer_drain(self.gateway.database)
        build_worker(self.gateway).run_worker(
            queues=["default"], wait=False, listen_notify=False, install_signal_handlers=False
        )

    def settle(self) -> None:
        """Wait until Stripe has delivered every event, and work them off."""
        self.await_deliveries()
        self.work()

    def await_deliveries(self) -> None:
        """Wait until Stripe has delivered every event."""
        eventually(lambda: all(each.pending_webhooks == 0 for each in self.stripe.v1.events.list({"limit": 100})))

    def fault(self, kind: str, **fields: Any) -> None:
        """Ask the sandbox for a fault (its README says which there are)."""
        answer = requests.post(
            f"{self.gateway.config.stripe_api_base}/_sandbox/faults", json={"kind": kind, **fields}, timeout=5
        )
        assert answer.ok, answer.text

    def faults(self) -> list[Json]:
        """Those asked for, and how often each has fired."""
        answer = requests.get(f"{self.gateway.config.stripe_api_base}/_sandbox/faults", timeout=5)
        faults: list[Json] = answer.json()["faults"]
        return faults

    def end_faults(self) -> None:
        """End them all; what they held up goes on."""
        requests.delete(f"{self.gateway.config.stripe_api_base}/_sandbox/faults", timeout=5)

    def rows(self, model: type[Row]) -> list[Row]:
        """All rows of a table, by primary key."""
        with self.gateway.database.transaction() as session:
            return list(session.scalars(select(model).order_by(*model.__mapper__.primary_key)))

    def blocked(self) -> int:
        """How many of the database's sessions wait for another one's transaction."""
        waiting = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        with self.gateway.database.transaction() as session:
            return len(session.execute(text(waiting)).all())

    def plan_row(self, organization_id: str = "org_1") -> OrganizationPlan:
        """The organization's row of the plan table."""
        with self.gateway.database.transaction() as session:
            return session.get_one(OrganizationPlan, organization_id)


def eventually(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Wait until it holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)
