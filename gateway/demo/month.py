"""Another organization pays for a month of Plus, on a test clock that the demo advances.

https://docs.stripe.com/billing/testing/test-clocks
"""

import secrets
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.demo.processes import DemoError
from gateway.demo.stage import Stage, money
from gateway.demo.story import CALLS, add_card, is_on
from gateway.stripe_api.snapshots import ORGANIZATION_ID_KEY
from gateway.stripe_api.times import to_unix

ADVANCING_TAKES = 120  # seconds, because a real Stripe account may need a minute
CALCULATED_BEFORE = timedelta(days=3)
FINALIZED_AFTER = timedelta(hours=2)  # Stripe finalizes an invoice after an hour


def play_month(stage: Stage) -> None:
    """Play the month step by step, and return to the organization of the story."""
    with stage.acting_for(f"org_{secrets.token_hex(4)}"):
        clock = join_on_test_clock(stage)
        buy(stage)
        announced = await_calculated_charges(stage, clock)
        pay(stage, clock, announced)
        read_notifications(stage, announced)


def join_on_test_clock(stage: Stage) -> str:
    """Create a customer on a test clock, as another program would, and return the clock's id."""
    stage.step(f"{stage.organization_id} has a Stripe customer already, on a test clock")
    stage.call("GET", "/subscription")
    clock = stage.stripe.v1.test_helpers.test_clocks.create({"frozen_time": to_unix(datetime.now(UTC))})
    metadata = {ORGANIZATION_ID_KEY: stage.organization_id}
    stage.stripe.v1.customers.create({"test_clock": clock.id, "metadata": metadata})
    stage.follow("the gateway adopts the customer", lambda: stage.customer_id() != "", "customer.created")
    return clock.id


def buy(stage: Stage) -> None:
    """Buy Plus, and use it."""
    add_card(stage)
    stage.step("It buys Plus, and Konnect reports its API calls")
    stage.call("POST", "/subscription", plan="free")
    change = stage.call("PATCH", "/subscription", plan="plus").json()
    stage.check(right=is_on(stage, "plus", change), text="Plus")
    event: dict[str, Any] = {
        "id": f"{stage.organization_id}-0",
        "organization_id": stage.organization_id,
        "meter": "api_calls",
    }
    # Usage counts in whole seconds, and the second of the purchase began on Free.
    event |= {"quantity": CALLS, "occurred_at": (datetime.now(UTC) + timedelta(seconds=1)).isoformat()}
    stage.call("POST", "/usage", service=True, events=[event])
    stage.check(right=stage.send_usage(), text=f"{CALLS:,} calls, sent now to Stripe's meter for this demo")


def await_calculated_charges(stage: Stage, clock: str) -> int:
    """Advance to three days before the billing date, and return what Stripe calculates then."""
    stage.step("27 days later, three days before the billing date, Stripe calculates the charges")
    advance(stage, clock, period_end(stage) - CALCULATED_BEFORE + timedelta(minutes=1))
    stage.follow("a webhook brings them", lambda: charges(stage) is not None, "invoice.upcoming")
    found = charges(stage) or {"amount_due": 0, "currency": "usd", "lines": [], "billing_date": ""}
    show_lines(stage, found)
    stage.check(
        right=found["amount_due"] > 0,
        text=f"{money(found['amount_due'], found['currency'])} will be charged on {found['billing_date'][:10]}",
    )
    return int(found["amount_due"])


def pay(stage: Stage, clock: str, announced: int) -> None:
    """Advance past the billing date, on which Stripe charges the card."""
    stage.step("On the billing date, Stripe charges the card")
    advance(stage, clock, period_end(stage) + FINALIZED_AFTER)
    stage.follow("webhooks bring the invoice", lambda: paid_invoice(stage) != {}, "invoice.paid")
    invoice = paid_invoice(stage)
    if invoice:
        invoice = stage.call("GET", f"/invoices/{invoice['id']}").json()
        show_lines(stage, invoice)
    paid = (invoice.get("amount_paid"), invoice.get("calculated_due"), invoice.get("differences"))
    stage.check(right=paid == (announced, announced, []), text=f"paid {money(announced, 'usd')}, exactly as calculated")


def read_notifications(stage: Stage, announced: int) -> None:
    """Show what Konnect's own system has received."""
    stage.step("Konnect's own system is notified of the charges and of the payment")
    for event_type, name in (("charges.calculated", "amount_due"), ("invoice.paid", "amount_paid")):
        data = stage.await_notification(event_type, lambda _: True)
        stage.check(right=data.get(name) == announced, text=f"{event_type}: {money(data.get(name, 0), 'usd')}")


def advance(stage: Stage, clock: str, to: datetime) -> None:
    """Advance the test clock, and wait until Stripe has done everything that falls due."""
    clocks = stage.stripe.v1.test_helpers.test_clocks
    clocks.advance(clock, {"frozen_time": to_unix(to)})
    deadline = time.monotonic() + ADVANCING_TAKES
    while clocks.retrieve(clock).status != "ready":
        if time.monotonic() > deadline:
            raise DemoError(f"Stripe did not advance the test clock {clock} within {ADVANCING_TAKES} seconds.")
        time.sleep(0.05)


def period_end(stage: Stage) -> datetime:
    """Return the end of the organization's billing period."""
    return datetime.fromisoformat(stage.call("GET", "/subscription").json()["current_period"]["end"])


def charges(stage: Stage) -> dict[str, Any] | None:
    """Return the calculated charges of the next billing date, or None."""
    found: dict[str, Any] | None = stage.call("GET", "/subscription").json()["upcoming_charges"]
    return found


def paid_invoice(stage: Stage) -> dict[str, Any]:
    """Return the organization's newest invoice if it was paid by card, or nothing."""
    newest: dict[str, Any] = stage.call("GET", "/invoices").json()["data"][0]
    return newest if newest["status"] == "paid" and newest["amount_paid"] > 0 else {}


def show_lines(stage: Stage, invoice: dict[str, Any]) -> None:
    """Print the lines of an invoice or of calculated charges."""
    for line in invoice["lines"] or []:
        stage.say(f"{money(line['amount'], invoice['currency']):>14}  {line['description']}")
