"""No event of a renewal makes a plan flicker: one cause moves the standing once, in any order of its events.

Stripe runs each story first. Then its events arrive in many orders, one by one or in batches, and the jobs of the
worker run after each step or at the end. The history proves that no state was shown that a later event takes back.
"""

import os
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest
import requests
from sqlalchemy import select, text

from gateway.db.models import PlanHistory
from gateway.services.plan_changes.request import change_plan
from schemas.changes import ChangeCommand
from tests.stateful.convergence.dashboard import CARD_REQUIRING_ACTION
from tests.stateful.convergence.stepped_gateway import SteppedGateway, pass_on
from tests.support.clock import DAY
from tests.support.json_types import Json
from tests.support.machines import EXAMPLES

Cause = tuple[list[Json], str]
"""The events of one cause, and the standing after it."""
Story = Callable[[SteppedGateway], Iterator[Cause]]

DECLINED, BANK_ACCOUNT = "pm_card_chargeCustomerFail", "pm_usBankAccount_success"
BROKEN_ACCOUNT = "pm_usBankAccount_insufficientFunds"
MONTH = 31 * DAY
PUBLISHED = ("subscription", "invoice", "payment_intent", "customer")
TABLES = (
    "organizations",
    "payment_methods",
    "subscriptions",
    "invoices",
    "organization_plans",
    "plan_history",
    "webhook_events",
    "procrastinate_jobs",
)


def customer(stage: SteppedGateway) -> str:
    [found] = stage.read("/v1/customers")
    return str(found["id"])


def subscription(stage: SteppedGateway) -> Json:
    [found] = stage.read("/v1/subscriptions")
    return found


def give(stage: SteppedGateway, card: str) -> list[Json]:
    """Give the customer another default payment method. Return its events, which are no cause of a standing."""
    stage.account.give_card(customer(stage), card)
    return stage.hear()


def later(stage: SteppedGateway, seconds: float) -> list[Json]:
    stage.wait(seconds)
    return stage.hear()


def pays(stage: SteppedGateway) -> Iterator[Cause]:
    yield later(stage, MONTH), "good"


def is_declined_and_retried(stage: SteppedGateway) -> Iterator[Cause]:
    changed = give(stage, DECLINED)
    yield changed + later(stage, MONTH), "grace"
    yield later(stage, 3 * DAY), "grace"
    changed = give(stage, "pm_card_visa")
    yield changed + later(stage, 7 * DAY), "good"


def is_given_up(stage: SteppedGateway) -> Iterator[Cause]:
    wanted = {"retry_days": [1], "after_retries": "past_due"}
    requests.post(f"{stage.sandbox.url}/_sandbox/settings", json=wanted, timeout=5).raise_for_status()
    changed = give(stage, DECLINED)
    yield changed + later(stage, MONTH), "grace"
    unpaid = subscription(stage)["latest_invoice"]
    yield later(stage, 2 * DAY), "suspended"
    changed = give(stage, "pm_card_visa")
    yield changed + later(stage, MONTH), "suspended"  # the next month is paid, and this one is not
    stage.account.v1.invoices.pay(unpaid)
    yield stage.hear(), "good"


def is_approved(stage: SteppedGateway) -> Iterator[Cause]:
    changed = give(stage, CARD_REQUIRING_ACTION)
    yield changed + later(stage, MONTH), "grace"
    stage.account.v1.payment_intents.confirm(intent_of(stage))
    yield stage.hear(), "good"


def intent_of(stage: SteppedGateway) -> str:
    """Return the payment intent of the latest invoice."""
    found = stage.account.v1.invoice_payments.list({"invoice": subscription(stage)["latest_invoice"]})
    return str(found.data[0].payment.payment_intent)


def is_debited(stage: SteppedGateway) -> Iterator[Cause]:
    changed = give(stage, BANK_ACCOUNT)
    yield changed + later(stage, MONTH), "good"
    yield later(stage, 10 * DAY), "good"


def debit_fails(stage: SteppedGateway) -> Iterator[Cause]:
    changed = give(stage, BROKEN_ACCOUNT)
    yield changed + later(stage, MONTH), "good"
    yield later(stage, 6 * DAY), "grace"


def change_quantity(stage: SteppedGateway, quantity: int, **params: Any) -> list[Json]:
    """Change the quantity in the dashboard and invoice it now. Return the events."""
    present = subscription(stage)
    changed: Any = {"items": [{"id": present["items"]["data"][0]["id"], "quantity": quantity}], **params}
    stage.account.v1.subscriptions.update(present["id"], changed | {"proration_behavior": "always_invoice"})
    return stage.hear()


def declined_change_is_given_up(stage: SteppedGateway) -> Iterator[Cause]:
    wanted = {"retry_days": [1], "after_retries": "past_due"}
    requests.post(f"{stage.sandbox.url}/_sandbox/settings", json=wanted, timeout=5).raise_for_status()
    changed = give(stage, DECLINED)
    yield changed + change_quantity(stage, 2), "grace"
    unpaid = subscription(stage)["latest_invoice"]
    yield later(stage, 2 * DAY), "suspended"
    changed = give(stage, "pm_card_visa")
    yield changed + later(stage, MONTH), "suspended"  # the next month is paid, and the change is not
    assert subscription(stage)["status"] == "active"
    stage.account.v1.invoices.pay(unpaid)
    yield stage.hear(), "good"


def parked_change_expires(stage: SteppedGateway) -> Iterator[Cause]:
    changed = give(stage, CARD_REQUIRING_ACTION)
    yield changed + change_quantity(stage, 2, payment_behavior="pending_if_incomplete"), "good"
    assert subscription(stage)["pending_update"] is not None
    yield later(stage, DAY), "good"
    assert subscription(stage)["pending_update"] is None


def parked_change_is_called_off(stage: SteppedGateway) -> Iterator[Cause]:
    changed = give(stage, CARD_REQUIRING_ACTION)
    changed += change_quantity(stage, 2, payment_behavior="pending_if_incomplete")
    stage.account.v1.invoices.void_invoice(subscription(stage)["latest_invoice"])
    yield changed + stage.hear(), "good"


def orders(events: list[Json]) -> Iterator[list[Json]]:
    """Yield some orders of the events: Stripe's, the opposite, each family last, and random ones."""
    yield events
    yield events[::-1]
    for last in PUBLISHED[:3]:
        yield sorted(events, key=lambda event: event["data"]["object"]["object"] == last)
    for seed in range(int(os.environ.get(EXAMPLES, "2"))):
        shuffled = events[:]
        random.Random(seed).shuffle(shuffled)  # noqa: S311 - an order, no secret
        yield shuffled


def save(stage: SteppedGateway) -> dict[str, str]:
    """Return the rows of the gateway's tables as JSON."""
    with stage.gateway.database.transaction() as session:
        return {
            table: session.scalar(text(f"SELECT coalesce(json_agg(row), '[]')::text FROM {table} AS row"))  # noqa: S608 - names of ours
            for table in TABLES
        }


def restore(stage: SteppedGateway, saved: Mapping[str, str]) -> None:
    """Put the saved rows back."""
    with stage.gateway.database.transaction() as session:
        session.execute(text("SET LOCAL session_replication_role = replica"))  # a trigger protects the history
        for table, rows in saved.items():
            session.execute(text(f"DELETE FROM {table}"))  # noqa: S608 - names of ours
            records = f"json_populate_recordset(NULL::{table}, cast(:rows AS json))"
            query = f"INSERT INTO {table} OVERRIDING SYSTEM VALUE SELECT * FROM {records}"  # noqa: S608 - names of ours
            session.execute(text(query), {"rows": rows})


def tell(stage: SteppedGateway, events: Sequence[Json], size: int, *, jobs: bool) -> None:
    """Deliver the events and merge ``size`` of them at a time."""
    for start in range(0, len(events), size):
        for event in events[start : start + size]:
            stage.deliver(event)
        stage.drain()
        if jobs:
            stage.run_due_jobs()


def standings(stage: SteppedGateway) -> list[str]:
    """Return the standings in the history of the plan, each one once as long as it lasts."""
    with stage.gateway.database.transaction() as session:
        states = session.scalars(select(PlanHistory.after).order_by(PlanHistory.version)).all()
    states = [state for state in states if state["requested_plan"] != "free"]
    assert all((state["plan"] == "free") == (state["standing"] == "suspended") for state in states)
    found = [str(state["standing"]) for state in states]
    return [each for index, each in enumerate(found) if index == 0 or each != found[index - 1]]


STORIES = [
    pays,
    is_declined_and_retried,
    is_given_up,
    is_approved,
    is_debited,
    debit_fails,
    declined_change_is_given_up,
    parked_change_expires,
    parked_change_is_called_off,
]


@pytest.mark.parametrize("story", STORIES)
def test_no_order_of_a_renewals_events_flickers(stage: SteppedGateway, story: Story) -> None:
    change_plan(stage.gateway, stage.caller("org_1"), ChangeCommand(plan="free", enroll=True))
    give(stage, "pm_card_visa")
    pass_on(stage)
    change_plan(stage.gateway, stage.caller("org_1"), ChangeCommand(plan="plus"))
    pass_on(stage)
    stage.run_due_jobs()
    expected = ["good"]
    for events, standing in story(stage):
        told = [event for event in events if event["data"]["object"]["object"] in PUBLISHED]
        expected = expected if expected[-1] == standing else [*expected, standing]
        saved = save(stage)
        for number, order in enumerate(orders(told)):
            restore(stage, saved)
            tell(stage, order, 3 if number % 2 else 1, jobs=number % 3 == 0)
            stage.run_due_jobs()
            assert standings(stage) == expected, [event["type"] for event in order]
