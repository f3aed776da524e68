"""What the story acts with: the JSON interface as a browser calls it, Stripe as its dashboard does, and the tables."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import click
import requests
from sqlalchemy import select
from stripe import InvoiceItem, StripeClient

from gateway.auth import issue_development_token
from gateway.db.models import Organization, OrganizationPlan, WebhookEvent
from gateway.services.runtime import Gateway

PATIENCE = 30  # seconds that a webhook may take: a real Stripe account is not on this machine


class Stage:
    """One organization's view, and what was found right or wrong."""

    def __init__(self, gateway: Gateway, url: str, organization_id: str) -> None:
        self.url, self.organization_id = url, organization_id
        self.token = issue_development_token(gateway.config, organization_id, datetime.now(UTC), name="Demo Ltd")
        self.stripe: StripeClient = gateway.stripe
        self.stripe_url = gateway.config.stripe_api_base or "your Stripe test account"
        self.all_right = True
        self._gateway = gateway
        self._shown: set[str] = set()

    @property
    def status(self) -> int:
        """The exit status."""
        return 0 if self.all_right else 1

    def step(self, title: str) -> None:
        """Head of a step."""
        click.secho(f"\n{title}", bold=True)

    def say(self, text: str) -> None:
        """A line of a step."""
        click.echo(f"  {text}")

    def check(self, *, right: bool, text: str) -> None:
        """A line that says what must hold, and whether it does."""
        self.all_right &= right
        click.secho(f"  {'✓' if right else '✗'} {text}", fg="green" if right else "red")

    def call(self, method: str, path: str, **body: Any) -> requests.Response:
        """Call the gateway as the UI does."""
        headers = {"Authorization": f"Bearer {self.token}"}
        return requests.request(method, f"{self.url}/v1{path}", json=body or None, headers=headers, timeout=30)

    def plan_row(self) -> OrganizationPlan | None:
        """The organization's row of the plan table."""
        with self._gateway.database.transaction() as session:
            return session.get(OrganizationPlan, self.organization_id)

    def customer_id(self) -> str:
        """The organization's customer at Stripe."""
        with self._gateway.database.transaction() as session:
            return session.get_one(Organization, self.organization_id).stripe_customer_id or ""

    def pending_items(self) -> list[InvoiceItem]:
        """What waits at Stripe for the next invoice, oldest first."""
        items = self.stripe.v1.invoice_items.list({"customer": self.customer_id(), "pending": True, "limit": 100})
        return list(reversed(items.data))

    def charged(self) -> int:
        """What Stripe has taken from the organization so far, in minor units."""
        invoices = self.stripe.v1.invoices.list({"customer": self.customer_id(), "limit": 100})
        return sum(invoice.amount_paid for invoice in invoices.data)

    def follow(self, what: str, condition: Callable[[], bool], *types: str) -> None:
        """Wait until ``condition`` holds and events of all ``types`` have been worked off; show what arrived."""
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
        """The events that have arrived since they were last shown."""
        with self._gateway.database.transaction() as session:
            events = session.scalars(select(WebhookEvent).order_by(WebhookEvent.received_at)).all()
        return [each for each in events if each.id not in self._shown]


def money(amount: int, currency: str) -> str:
    """An amount for people: 1234 usd → 12.34 USD."""
    return f"{amount / 100:,.2f} {currency.upper()}"
