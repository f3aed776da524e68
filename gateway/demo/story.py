"""An organization tries Plus, and goes Free → Plus → Free. Then somebody does the same in Stripe's dashboard."""

import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from shlex import quote
from typing import Any

from stripe import InvoiceItem

from gateway.demo.stage import Stage, money

CALLS = 120_000


def play(stage: Stage) -> None:
    """Play the story step by step. The stage marks and remembers each step that fails."""
    enrol(stage)
    end_trial(stage)
    ask_without_a_card(stage)
    add_card(stage)
    quote = preview(stage)
    upgrade(stage, quote)
    read_entitlements(stage)
    use(stage)
    ask_for_enterprise(stage)
    cancel(stage)
    change_in_the_dashboard(stage)


def enrol(stage: Stage) -> None:
    """Enrol a new organization, which starts its trial."""
    stage.step(f"{stage.organization_id} signs up")
    details = stage.call("GET", "/subscription").json()
    stage.check(right=details["status"] == "none", text="it is not enrolled yet, so it is on Free with status none")
    change = stage.call("POST", "/subscription").json()
    stage.check(
        right=change.get("state") == "applied" and is_on(stage, "plus", change),
        text="enrolled, and on the trial of Plus, without a card",
    )
    trial = change["subscription"]["trial"]
    stage.check(
        right=not trial["converts"], text=f"it has no card, so Stripe ends the trial on {trial['ends_at'][:10]}"
    )
    stage.follow("webhooks confirm it", lambda: row_is(stage, "plus"), "customer.subscription.updated")


def end_trial(stage: Stage) -> None:
    """End the trial early, which leaves the organization on Free."""
    stage.step("It ends the trial")
    change = stage.call("DELETE", "/subscription").json()
    stage.check(right=is_on(stage, "free", change), text="Free, with a Stripe subscription at a real price of 0.00")
    again = stage.call("PATCH", "/subscription", trial=True).json()
    expect_problem(stage, again, 409, "trial_unavailable")
    stage.follow("webhooks confirm it", lambda: row_is(stage, "free"), "customer.subscription.updated", "invoice.paid")


def ask_without_a_card(stage: Stage) -> None:
    """Show that an upgrade needs billing details."""
    stage.step("It asks for Plus without billing details")
    expect_problem(stage, stage.call("PATCH", "/subscription", plan="plus").json(), 402, "payment_method_required")


def add_card(stage: Stage) -> None:
    """Add a card. The story confirms the setup intent itself, as Stripe.js does in the browser."""
    stage.step("It adds a card")
    intent = stage.call("POST", "/billing-details/setup-intent").json()
    confirmed = stage.stripe.v1.setup_intents.confirm(
        intent["client_secret"].partition("_secret_")[0], {"payment_method": "pm_card_visa"}
    )
    card = stage.call("PUT", "/payment-methods/default", payment_method=confirmed.payment_method).json()
    stage.check(right=card.get("last4") == "4242", text=f"{card.get('brand')} ending in {card.get('last4')} is on file")
    stage.follow("webhooks confirm it", lambda: True, "payment_method.attached", "customer.updated")


def preview(stage: Stage) -> dict[str, Any]:
    """Ask what Plus would cost."""
    stage.step("It asks what Plus would cost")
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
    stage.step("It confirms: Free → Plus")
    before = stage.charged()
    change = stage.call("PATCH", "/subscription", quote=quote["token"]).json()
    stage.check(right=is_on(stage, "plus", change), text="Plus immediately, from the API's answer, without a webhook")
    stage.check(right=stage.charged() == before == 0, text="nothing was charged")
    quoted = [(line["description"], line["amount"]) for line in quote["lines"] if line["proration"]]
    pending = stage.pending_items()
    show_items(stage, pending)
    stage.check(
        right=[(item.description, item.amount) for item in pending] == quoted and quoted != [],
        text="exactly the quoted items are pending for the billing date",
    )
    stage.follow("webhooks confirm it", lambda: row_is(stage, "plus"), "customer.subscription.updated")
    told = stage.await_notification(
        "plan.changed", lambda data: (data["after"]["plan"], data["after"]["status"]) == ("plus", "active")
    )
    if told:
        stage.say(f"plan.changed: {told['before']['plan']} → {told['after']['plan']}, by a {told['actor_type']}")
    stage.check(right=told != {}, text="Konnect's own system is notified, in a signed webhook")


def read_entitlements(stage: Stage) -> None:
    """Show what the organization may use now."""
    stage.step("Konnect asks what it may use now")
    found = stage.call("GET", "/entitlements").json()
    stage.say(", ".join(f"{name}: {'unlimited' if most is None else most}" for name, most in found["limits"].items()))
    has = [name for name, included in found["features"].items() if included]
    stage.check(right=found["plan"] == "plus" and "email_support" in has, text=f"Plus, with {' and '.join(has)}")


def use(stage: Stage) -> None:
    """Report usage as Konnect's services do, and ask what the month costs so far."""
    stage.step("Konnect reports its API calls")
    now = datetime.now(UTC).isoformat()
    call = {"organization_id": stage.organization_id, "meter": "api_calls", "quantity": CALLS, "occurred_at": now}
    events = [{"id": f"{stage.organization_id}-{number}", **call} for number in range(2)]
    first = stage.call("POST", "/usage", service=True, events=events[:1]).json()
    both = stage.call("POST", "/usage", service=True, events=events).json()
    stage.check(
        right=(len(first["new"]), len(both["new"]), len(both["known"])) == (1, 1, 1),
        text="each event counts once, however often it is sent; a worker sends them to Stripe's meter",
    )
    day = stage.call("GET", "/usage").json()
    total = next(each["total"]["quantity"] for each in day["meters"] if each["meter"] == "api_calls")
    stage.check(right=total == 2 * CALLS, text=f"{total:,} calls this month")
    estimate = stage.call("GET", "/usage/estimate").json()["estimate"]
    parts = ", ".join(f"{name} {money(estimate[name], estimate['currency'])}" for name in ("base", "prorations"))
    stage.check(
        right=estimate["due"] > 0, text=f"estimated so far: {money(estimate['due'], estimate['currency'])} ({parts})"
    )


def ask_for_enterprise(stage: Stage) -> None:
    """Show that only sales can sell Enterprise."""
    stage.step("It asks for Enterprise")
    expect_problem(stage, stage.call("PATCH", "/subscription", plan="enterprise").json(), 409, "contact_sales_required")


def cancel(stage: Stage) -> None:
    """Return to Free immediately, with a credit for the unused time."""
    stage.step("It cancels the plan: Plus → Free")
    known = {item.id for item in stage.pending_items()}
    change = stage.call("DELETE", "/subscription").json()
    stage.check(right=is_on(stage, "free", change), text="Free immediately, from the API's answer")
    credit = [item for item in stage.pending_items() if item.id not in known]
    show_items(stage, credit)
    stage.check(right=sum(item.amount for item in credit) < 0, text="credited for the unused time")
    stage.follow("webhooks confirm it", lambda: row_is(stage, "free"), "customer.subscription.updated")


def change_in_the_dashboard(stage: Stage) -> None:
    """Change the plan as a person does in Stripe's dashboard, so that only webhooks tell the gateway."""
    prices = {each: price_id(stage, each) for each in ("plus", "free")}
    for plan, price in prices.items():
        stage.step(f"Somebody moves it to {plan.capitalize()} in Stripe's dashboard, without the gateway")
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
    """Return the id of the price under a plan's lookup key, as the dashboard would offer it."""
    page = stage.stripe.v1.prices.list({"lookup_keys": [f"konnect_{plan}_usd_month"], "active": True})
    return page.data[0].id


def expect_problem(stage: Stage, problem: dict[str, Any], status: int, code: str) -> None:
    """Check that the answer is this problem."""
    right = (problem.get("status"), problem.get("code")) == (status, code)
    stage.check(right=right, text=f"{problem.get('status')} {problem.get('code')}: {problem.get('detail')}")


def show_items(stage: Stage, items: list[InvoiceItem]) -> None:
    """Print pending invoice items, one per line."""
    for item in items:
        stage.say(f"{money(item.amount, item.currency):>14}  {item.description}")


def is_on(stage: Stage, plan: str, change: dict[str, Any]) -> bool:
    """Return whether the answer and the plan table both say that the organization is on ``plan``."""
    if "subscription" not in change:
        stage.say(str(change))
        return False
    return change["subscription"]["plan"] == plan and row_is(stage, plan)


def row_is(stage: Stage, plan: str) -> bool:
    """Return whether the plan table says that the organization is on ``plan``."""
    row = stage.plan_row()
    return row is not None and row.plan == plan


def what_to_try(stage: Stage, metrics: str, environment: Path, logs: Path) -> str:
    """Return the addresses and commands to continue with."""
    gateway = quote(str(Path(sys.executable).with_name("gateway")))  # for a folder with a space in its name
    return f"""
The gateway keeps serving until Ctrl-C. Open the Billing page of {stage.organization_id}:

  {stage.url}/billing#token={stage.token}

Click Change Plan, then Upgrade to Plus, and type any address. A card is on file already, so the quote comes next. Click
Subscribe, and then Cancel Plan to go back. Under Payment methods, the card 4000 0025 0000 3155 shows 3-D Secure.

To continue in another terminal:

  export TOKEN={stage.token}
  curl -H "Authorization: Bearer $TOKEN" {stage.url}/v1/subscription
  curl -H "Authorization: Bearer $TOKEN" {stage.url}/v1/plans
  curl -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" \\
       -d '{{"plan": "plus"}}' {stage.url}/v1/subscription/preview

For another organization, which is new and has no card:

  . {quote(str(environment))}     # the settings of this demo
  export TOKEN=$({gateway} token --organization org_mine)
  echo "$DEMO_URL/billing#token=$TOKEN"     # its Billing page

  The interface       {stage.url}/v1/openapi.json
  Stripe              {stage.stripe_url}
  The metrics         {metrics}
  The logs            {logs}
"""
