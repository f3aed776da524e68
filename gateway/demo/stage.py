"""Let the story call the JSON interface as a browser does and Stripe as its dashboard does, and read the tables."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import click
import requests
from sqlalchemy import select
from stripe import InvoiceItem, StripeClient

from gateway.auth import issue_development_token
from gateway.db.models import Organization, OrganizationPlan, WebhookEvent
from gateway.services.runtime import Gateway
from gateway.services.usage.report_to_stripe import send_all_reports

PATIENCE = 30  # seconds that a webhook may take, because it may come from a real Stripe account


class Stage:
    """An organization's view of the gateway and of Stripe, and whether all checks so far passed."""

    def __init__(self, gateway: Gateway, url: str, organization_id: str, notified: Sequence[dict[str, Any]]) -> None:
        self.url = url
        self.stripe: StripeClient = gateway.stripe
        self.stripe_url = gateway.config.stripe_api_base or "your Stripe test account"
        self.all_right = True
        self._gateway = gateway
        self.organization_id, self.token = organization_id, self._issue_token(organization_id)
        self._notified = notified
        self._shown: set[str] = set()
        self._steps = 0
        self._service_token = issue_development_token(
            gateway.config, None, datetime.now(UTC), scopes=("usage:write",), name="Konnect"
        )

    @property
    def status(self) -> int:
        """The exit status."""
        return 0 if self.all_right else 1

    @contextmanager
    def acting_for(self, organization_id: str) -> Iterator[None]:
        """Act for another organization for the length of the block."""
        before = self.organization_id, self.token
        self.organization_id, self.token = organization_id, self._issue_token(organization_id)
        yield
        self.organization_id, self.token = before

    def step(self, title: str) -> None:
        """Print the number and the title of a step."""
        self._steps += 1
        click.secho(f"\n{self._steps}. {title}", bold=True)

    def conclude(self) -> None:
        """Print whether all steps came out right."""
        text = "Every step came out right." if self.all_right else "Some steps did not come out right, see ✗."
        click.secho(f"\n{text}", bold=True)

    def say(self, text: str) -> None:
        """Print a line of a step."""
        click.echo(f"  {text}")

    def check(self, *, right: bool, text: str) -> None:
        """Print what must hold and whether it does, and remember a failure."""
        self.all_right &= right
        click.secho(f"  {'✓' if right else '✗'} {text}", fg="green" if right else "red")

    def call(self, method: str, path: str, *, service: bool = False, **body: Any) -> requests.Response:
        """Call the gateway as the UI does, or as one of Konnect's services."""
        headers = {"Authorization": f"Bearer {self._service_token if service else self.token}"}
        return requests.request(method, f"{self.url}/v1{path}", json=body or None, headers=headers, timeout=30)

    def plan_row(self) -> OrganizationPlan | None:
        """Return the organization's row of the plan table."""
        with self._gateway.database.transaction() as session:
            return session.get(OrganizationPlan, self.organization_id)

    def customer_id(self) -> str:
        """Return the id of the organization's customer at Stripe."""
        with self._gateway.database.transaction() as session:
            return session.get_one(Organization, self.organization_id).stripe_customer_id or ""

    def pending_items(self) -> list[InvoiceItem]:
        """Return the items that wait at Stripe for the next invoice, oldest first."""
        items = self.stripe.v1.invoice_items.list({"customer": self.customer_id(), "pending": True, "limit": 100})
        return list(reversed(items.data))

    def charged(self) -> int:
        """Return what Stripe has charged the organization so far, in minor units."""
        invoices = self.stripe.v1.invoices.list({"customer": self.customer_id(), "limit": 100})
        return sum(invoice.amount_paid for invoice in invoices.data)

    def send_usage(self) -> bool:
        """Send the organization's usage to Stripe, as a worker does within minutes. Return whether Stripe took it."""
        return send_all_reports(self._gateway, self.organization_id)

    def await_notification(self, event_type: str, fits: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Return the ``data`` of a notification about the organization, or nothing if it does not come."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            for message in list(self._notified):
                data: dict[str, Any] = message["data"]
                if (message["type"], data["organization_id"]) == (event_type, self.organization_id) and fits(data):
                    return data
            time.sleep(0.05)
        return {}

    def follow(self, what: str, condition: Callable[[], bool], *types: str) -> None:
        """Wait until ``condition`` holds and events of all ``types`` are done, then print the events that arrived."""
        deadline = time.monotonic() + PATIENCE
        right = False
        arrived: list[WebhookEvent] = []
        while not right and time.monotonic() < deadline:
            time.sleep(0.05)
            arrived = self.arrived()
            right = condition() and {each.type for each in arrived if each.state == "done"} >= set(types)
        for each in arrived:
            self.say(f"  ← {each.type} ({each.state})")
        self._shown |= {each.id for each in arrived}
        self.check(right=right, text=what)

    def arrived(self) -> list[WebhookEvent]:
        """Return the events that have not been printed yet, in the order of their arrival."""
        with self._gateway.database.transaction() as session:
            events = session.scalars(select(WebhookEvent).order_by(WebhookEvent.received_at)).all()
        return [each for each in events if each.id not in self._shown]

    def _issue_token(self, organization_id: str) -> str:
        return issue_development_token(self._gateway.config, organization_id, datetime.now(UTC), name="Demo Ltd")


def money(amount: int, currency: str) -> str:
    """Format an amount for people, such as 12.34 USD for 1234 usd."""
    return f"{amount / 100:,.2f} {currency.upper()}"
