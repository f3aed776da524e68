"""The story of one organization: Free → Plus → Free through the interface, then the same from Stripe's side alone."""

import sys
from functools import partial
from pathlib import Path
from typing import Any

from stripe import InvoiceItem

from gateway.demo.stage import Stage, money


def play(stage: Stage) -> None:
    """Play it step by step; what does not come out right is marked, and remembered by the stage."""
    enrol(stage)
    ask_without_a_card(stage)
    add_card(stage)
    quote = preview(stage)
    upgrade(stage, quote)
    ask_for_enterprise(stage)
    cancel(stage)
    change_in_the_dashboard(stage)
    stage.step("Every step came out right." if stage.all_right else "Some steps did not come out right, see ✗.")


def enrol(stage: Stage) -> None:
    """From nobody to Free."""
    stage.step(f"1. {stage.organization_id} signs up")
    details = stage.call("GET", "/subscription").json()
    stage.check(right=details["status"] == "none", text="nobody has enrolled it yet: it is on Free, status none")
    change = stage.call("POST", "/subscription", plan="free").json()
    stage.check(
        right=change.get("state") == "applied" and is_on(stage, "free", change),
        text="enrolled: a Stripe subscription to Free, a real price of 0.00",
    )
    stage.follow("webhooks confirm it", lambda: row_is(stage, "free"), "customer.subscription.created", "invoice.paid")


def ask_without_a_card(stage: Stage) -> None:
    """An upgrade needs billing details."""
    stage.step("2. It asks for Plus without billing details")
    expect_problem(stage, stage.call("PATCH", "/subscription", plan="plus").json(), 402, "payment_method_required")


def add_card(stage: Stage) -> None:
    """Take a card: the confirmation is the part that Stripe.js plays in the browser."""
    stage.step("3. It adds a card")
    intent = stage.call("POST", "/billing-details/setup-intent").json()
    confirmed = stage.stripe.v1.setup_intents.confirm(
        intent["client_secret"].partition("_secret_")[0], {"payment_method": "pm_card_visa"}
    )
    card = stage.call("PUT", "/payment-methods/default", payment_method=confirmed.payment_method).json()
    stage.check(right=card.get("last4") == "4242", text=f"{card.get('brand')} ending in {card.get('last4')} is on file")
    stage.follow("webhooks confirm it", lambda: True, "payment_method.attached", "customer.updated")


def preview(stage: Stage) -> dict[str, Any]:
    """What would Plus cost."""
    stage.step("4. It asks what Plus would cost")
    quote: dict[str, Any] = stage.call("POST", "/subscription/preview", plan="plus").json()
    for line in quote["lines"]:
        stage.say(f"{money(line['amount'], line['currency']):>14}  {line['description']}")
    stage.check(
        right=quote["amount_due_now"] == 0,
        text=f"due now {money(0, quote['currency'])}, on {quote['billing_date'][:10]} "
        f"{money(quote['amount_due_on_billing_date'], quote['currency'])}",
    )
    return quote


def upgrade(stage: Stage, quote: dict[str, Any]) -> None:
    """Confirm the quote."""
    stage.step("5. It confirms: Free → Plus")
    before = stage.charged()
    change = stage.call("PATCH", "/subscription", quote=quote["token"]).json()
    stage.check(right=is_on(stage, "plus", change), text="Plus at once, from the API's answer: no webhook needed")
    stage.check(right=stage.charged() == before == 0, text="nothing was charged")
    quoted = [(line["description"], line["amount"]) for line in quote["lines"] if line["proration"]]
    pending = stage.pending_items()
    show_items(stage, pending)
    stage.check(
        right=[(item.description, item.amount) for item in pending] == quoted and quoted != [],
        text="pending for the billing date, and exactly what was quoted",
    )
    stage.follow("webhooks confirm it", lambda: row_is(stage, "plus"), "customer.subscription.updated")


def ask_for_enterprise(stage: Stage) -> None:
    """Enterprise is sold by people."""
    stage.step("6. It asks for Enterprise")
    expect_problem(stage, stage.call("PATCH", "/subscription", plan="enterprise").json(), 409, "contact_sales_required")


def cancel(stage: Stage) -> None:
    """Back to Free at once, with credit for the time not used."""
    stage.step("7. It cancels the plan: Plus → Free")
    known = {item.id for item in stage.pending_items()}
    change = stage.call("DELETE", "/subscription").json()
    stage.check(right=is_on(stage, "free", change), text="Free at once, from the API's answer")
    credit = [item for item in stage.pending_items() if item.id not in known]
    show_items(stage, credit)
    stage.check(right=sum(item.amount for item in credit) < 0, text="credited for the time that was not used")
    stage.follow("webhooks confirm it", lambda: row_is(stage, "free"), "customer.subscription.updated")


def change_in_the_dashboard(stage: Stage) -> None:
    """A person at Stripe's dashboard: the gateway is not asked, and hears of it by webhook alone."""
    prices = {each: price_id(stage, each) for each in ("plus", "free")}
    for number, (plan, price) in enumerate(prices.items(), start=8):
        stage.step(f"{number}. Somebody moves it to {plan.capitalize()} in Stripe's dashboard, past the gateway")
        row = stage.plan_row()
        subscription = stage.stripe.v1.subscriptions.retrieve((row and row.subscription_id) or "")
        stage.stripe.v1.subscriptions.update(
            subscription.id, {"items": [{"id": subscription.items.data[0].id, "price": price, "quantity": 1}]}
        )
        stage.follow(
            f"the plan table says {plan}, from webhooks alone",
            partial(row_is, stage, plan),
            "customer.subscription.updated",
        )


def price_id(stage: Stage, plan: str) -> str:
    """The price under a plan's lookup key, as the dashboard would offer it."""
    page = stage.stripe.v1.prices.list({"lookup_keys": [f"konnect_{plan}_usd_month"], "active": True})
    return page.data[0].id


def expect_problem(stage: Stage, problem: dict[str, Any], status: int, code: str) -> None:
    """The answer must be this problem."""
    right = (problem.get("status"), problem.get("code")) == (status, code)
    stage.check(right=right, text=f"{problem.get('status')} {problem.get('code')}: {problem.get('detail')}")


def show_items(stage: Stage, items: list[InvoiceItem]) -> None:
    """Pending invoice items, a line each."""
    for item in items:
        stage.say(f"{money(item.amount, item.currency):>14}  {item.description}")


def is_on(stage: Stage, plan: str, change: dict[str, Any]) -> bool:
    """Whether the answer and the plan table both say that the organization is on ``plan``."""
    if "subscription" not in change:
        stage.say(str(change))
        return False
    return change["subscription"]["plan"] == plan and row_is(stage, plan)


def row_is(stage: Stage, plan: str) -> bool:
    """Whether the plan table says so."""
    row = stage.plan_row()
    return row is not None and row.plan == plan


def what_to_try(stage: Stage, environment: Path, logs: Path) -> str:
    """The addresses and commands to go on with."""
    gateway = Path(sys.executable).with_name("gateway")
    return f"""
The gateway keeps serving until Ctrl-C. To go on with {stage.organization_id} in another terminal:

  export TOKEN={stage.token}
  curl -H "Authorization: Bearer $TOKEN" {stage.url}/v1/subscription
  curl -H "Authorization: Bearer $TOKEN" {stage.url}/v1/plans
  curl -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" \\
       -d '{{"plan": "plus"}}' {stage.url}/v1/subscription/preview

For another organization:

  . {environment}     # the settings of this demo
  export TOKEN=$({gateway} token --organization org_mine)

  The interface       {stage.url}/v1/openapi.json
  Stripe              {stage.stripe_url}
  The logs            {logs}
"""
