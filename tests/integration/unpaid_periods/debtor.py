"""An organization that has not paid for its present billing period."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import requests
import stripe

from gateway.db import jobs
from gateway.services.plan_changes.unpaid_credits import finish_withdrawal
from tests.support.api import ApiClient
from tests.support.clock import StripeTime
from tests.support.jobs import make_due
from tests.support.json_types import Json
from tests.support.world import World


@dataclass
class Debtor:
    """The organization, its invoice for the present period, and what it holds at Stripe."""

    world: World
    api: ApiClient
    stripe_time: StripeTime
    subscription: str
    customer: str
    renewal: str = field(init=False)
    price: int = field(init=False)
    """What the present period costs. The renewal also bills the rest of the period before."""

    def __post_init__(self) -> None:
        self.renewal = str(self.world.stripe.v1.subscriptions.retrieve(self.subscription).latest_invoice)
        [self.price] = [line.amount for line in self.invoice().lines.data if not is_proration(line)]

    def details(self) -> Json:
        return self.api.ok("GET", "/subscription")

    def invoice(self) -> stripe.Invoice:
        return self.world.stripe.v1.invoices.retrieve(self.renewal)

    def write_off(self) -> None:
        self.world.stripe.v1.invoices.mark_uncollectible(self.renewal)
        self.world.settle()

    def void(self) -> None:
        self.world.stripe.v1.invoices.void_invoice(self.renewal)
        self.world.settle()

    def pay(self) -> None:
        self.api.add_card(self.world.stripe)
        self.api.ok("POST", f"/invoices/{self.renewal}/pay")
        self.world.settle()

    def wait(self, days: float) -> None:
        """Let time pass at Stripe."""
        self.stripe_time.ahead += timedelta(days=days).total_seconds()
        self.world.stripe.v1.subscriptions.retrieve(self.subscription)
        self.world.settle()

    def wait_for_renewal(self) -> None:
        """Let time pass until the minute after the present period, however long the month is."""
        [item, *_] = self.world.stripe.v1.subscriptions.retrieve(self.subscription).items.data
        self.wait((item.current_period_end + 60 - self.stripe_time()) / timedelta(days=1).total_seconds())

    def fall_behind(self) -> "Debtor":
        """Let the card decline the next renewal, and return the organization as a debtor of that period."""
        self.api.add_card(self.world.stripe, "pm_card_chargeCustomerFail")
        self.wait_for_renewal()
        self.wait(days=0.1)
        found = Debtor(self.world, self.api, self.stripe_time, self.subscription, self.customer)
        assert found.invoice().status == "open"
        return found

    def next_total(self) -> int:
        """Return the total of the next invoice as it would be now."""
        return self.world.stripe.v1.invoices.create_preview({"subscription": self.subscription}).total

    def set_after_retries(self, status: str) -> None:
        """Choose the subscription's status after Stripe's last attempt to collect an invoice."""
        url = f"{self.world.gateway.config.stripe_api_base}/_sandbox/settings"
        requests.post(url, json={"after_retries": status}, timeout=5).raise_for_status()

    def give_bank_account(self, token: str) -> None:
        """Make a bank account the customer's default payment method at Stripe."""
        attached = self.world.stripe.v1.payment_methods.attach(token, {"customer": self.customer})
        settings: Any = {"invoice_settings": {"default_payment_method": attached.id}}
        self.world.stripe.v1.customers.update(self.customer, settings)
        self.world.settle()

    def pending(self) -> list[int]:
        """Return the amounts of the customer's pending invoice items, oldest first."""
        found = self.world.stripe.v1.invoice_items.list({"customer": self.customer, "pending": True, "limit": 100})
        return [item.amount for item in found.data[::-1]]

    def run_withdrawal(self, change_id: str) -> None:
        """Run the job that withdraws the credits of a change."""
        finish_withdrawal(self.world.gateway, change_id)

    def downgrade_in_dashboard(self, price: str) -> None:
        """Move the subscription to another price directly at Stripe, and do the jobs that follow."""
        [item] = self.world.stripe.v1.subscriptions.retrieve(self.subscription).items.data
        self.world.stripe.v1.subscriptions.update(
            self.subscription, {"items": [{"id": item.id, "price": price, "quantity": 1}]}
        )
        self.world.settle()
        make_due(self.world, jobs.WITHDRAW_FOREIGN_CREDITS)
        self.world.settle()

    def increase_in_dashboard(self, quantity: int) -> None:
        """Raise the quantity directly at Stripe, which invoices it now."""
        [item] = self.world.stripe.v1.subscriptions.retrieve(self.subscription).items.data
        changed: Any = {"items": [{"id": item.id, "quantity": quantity}], "proration_behavior": "always_invoice"}
        self.world.stripe.v1.subscriptions.update(self.subscription, changed)
        self.world.settle()

    def add_usage(self, calls: int, price: int) -> None:
        """Add a metered item to the subscription, as sales does, and report its usage."""
        v1 = self.world.stripe.v1
        meter = v1.billing.meters.create(
            {"display_name": "Calls", "event_name": "calls", "default_aggregation": {"formula": "sum"}}
        )
        product = v1.products.create({"name": "Calls"})
        recurring: Any = {"interval": "month", "usage_type": "metered", "meter": meter.id}
        metered = v1.prices.create(
            {"product": product.id, "currency": "usd", "unit_amount": price, "recurring": recurring}
        )
        v1.subscriptions.update(self.subscription, {"items": [{"price": metered.id}]})
        payload = {"stripe_customer_id": self.customer, "value": str(calls)}
        v1.billing.meter_events.create({"event_name": "calls", "payload": payload})
        self.world.settle()

    def credited(self) -> list[int]:
        """Return the totals of the credit notes on the present period's invoice, oldest first."""
        found = self.world.stripe.v1.credit_notes.list({"invoice": self.renewal})
        return [note.total for note in found.data[::-1]]

    def balance(self) -> int:
        return self.world.stripe.v1.customers.retrieve(self.customer).balance or 0


def is_proration(line: stripe.InvoiceLineItem) -> bool:
    details = line.parent.subscription_item_details if line.parent else None
    return details is not None and details.proration
