"""The tables as they are, and what must hold of them whatever Stripe says."""

from datetime import datetime
from typing import Any

from sqlalchemy import inspect, select

from gateway.db.models import (
    Base,
    Invoice,
    Organization,
    OrganizationPlan,
    PaymentMethod,
    Plan,
    PlanChange,
    PlanHistory,
    Price,
    Subscription,
    UpcomingInvoice,
    WebhookEvent,
)
from tests.stateful.convergence.expected import NOBODY, OVER, Expected, Tables, plan_row
from tests.stateful.convergence.stepped_gateway import SteppedGateway
from tests.support.json_types import Json

MODELS: tuple[type[Base], ...] = (
    Plan,
    Price,
    Organization,
    Subscription,
    Invoice,
    PaymentMethod,
    UpcomingInvoice,
    OrganizationPlan,
)


def rows(stage: SteppedGateway, model: type[Any]) -> list[Json]:
    """All rows of a table, by primary key."""
    with stage.gateway.database.transaction() as session:
        found = session.scalars(select(model).order_by(*inspect(model).primary_key))
        return [{column.key: getattr(row, column.key) for column in inspect(model).columns} for row in found]


def check_tables(stage: SteppedGateway, expected: Expected, tables: Tables) -> None:
    """Each row that is expected, with each field that is expected of it; and no other row."""
    for model in MODELS:
        name, key = model.__tablename__, inspect(model).primary_key[0].name
        if (wanted := tables.get(name)) is None:
            continue
        found = {row[key]: plain(row) if name == "organization_plans" else row for row in rows(stage, model)}
        if name == "plans":  # a product that stood for a plan once stays, without a key
            found = {product: row for product, row in found.items() if row["key"] is not None}
        if name == "organization_plans":  # nothing is written of somebody who never was on anything
            found = dict.fromkeys(expected.owner.values(), NOBODY) | found
        cut = {key: {field: row[field] for field in wanted.get(key, row)} for key, row in found.items()}
        assert cut == wanted, f"{name}: {difference(cut, wanted)}"


def difference(found: dict[str, Json], wanted: dict[str, Json]) -> list[str]:
    """Where two sets of rows differ, for people."""
    return [
        f"{key}.{name}: {found.get(key, {}).get(name)!r} here, {wanted.get(key, {}).get(name)!r} at Stripe"
        for key in sorted(found.keys() | wanted.keys())
        for name in sorted(found.get(key, {}).keys() | wanted.get(key, {}).keys())
        if found.get(key, {}).get(name, "nothing") != wanted.get(key, {}).get(name, "nothing")
    ]


def plain(row: Json) -> Json:
    """Times as the history writes them."""
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in row.items()}


def check_inbox(stage: SteppedGateway) -> None:
    """All that was delivered is there, and done with; only what was meant for another mode was refused."""
    states = {row["id"]: row["state"] for row in rows(stage, WebhookEvent)}
    assert stage.delivered <= states.keys(), f"lost: {stage.delivered - states.keys()}"
    for event, state in states.items():
        wanted = ("rejected",) if event.startswith("evt_live") else ("done", "ignored")
        assert state in wanted, f"{event} is {state}"


def check_history(stage: SteppedGateway, expected: Expected) -> None:
    """The history leads to the plan table without a gap, says nothing twice, and only what was once so at Stripe."""
    current = {row["organization_id"]: row for row in rows(stage, OrganizationPlan)}
    for organization in expected.owner.values():
        history = [row for row in rows(stage, PlanHistory) if row["organization_id"] == organization]
        if organization not in current:
            assert history == []
            continue
        assert [row["version"] for row in history] == list(range(1, len(history) + 1))
        assert history[-1]["version"] == current[organization]["version"]
        before: Json | None = None
        for row in history:
            assert row["before"] == before, f"the history has a gap: {row['before']} follows {before}"
            assert row["after"] != (before or NOBODY), f"twice the same: {row}"
            before = row["after"]
        wanted = {name: plain(current[organization])[name] for name in NOBODY}
        assert before == wanted, "the plan table is not where its history ends"
        check_held(stage, expected, organization, [row["after"] for row in history])


def check_changes(stage: SteppedGateway) -> None:
    """No change is left open, each ended as Stripe has it, and who is named in the history asked for just that."""
    states = [event["data"]["object"] for event in stage.events]
    carried_out = {each["metadata"].get("change_id") for each in states if each["object"] == "subscription"}
    changes = {row["id"]: row for row in rows(stage, PlanChange)}
    for change in changes.values():
        assert change["state"] in ("applied", "failed", "abandoned"), f"left open: {change}"
        assert change["state"] == "applied" or change["id"] not in carried_out, f"Stripe did it: {change}"
    for entry in rows(stage, PlanHistory):
        if entry["change_id"] is not None:
            change = changes[entry["change_id"]]
            assert (change["organization_id"], change["actor"]) == (entry["organization_id"], entry["actor"])
            enrolled_by_it = (entry["before"] or NOBODY)["status"] in ("none", *OVER)  # whatever became of it then
            assert change["state"] == "applied" or enrolled_by_it, f"{entry} by {change}"


def check_held(stage: SteppedGateway, expected: Expected, organization: str, claimed: list[Json]) -> None:
    """All that the history claims was once so at Stripe; and it never goes back to what was over there."""
    mine = {customer for customer, name in expected.owner.items() if name == organization}
    told = [event for event in stage.events if event["data"]["object"].get("customer") in mine]
    states = [each["data"]["object"] for each in told if each["data"]["object"]["object"] == "subscription"]
    mappings = mappings_of(stage)
    held = [[row for plans in mappings for row in rows_of(state, plans)] for state in states]
    for row in claimed:
        assert row == NOBODY or any(row in rows for rows in held), f"this was never so at Stripe: {row}"
    if len({state["id"] for state in states}) == len(mappings) == 1:
        remaining = iter([row for rows in held for row in rows] + [NOBODY])
        for row in claimed:
            assert row in remaining, f"the history went back to {row} in {claimed}"


def rows_of(state: Json, plans: dict[str, str]) -> list[Json]:
    """What a state of a subscription stood for: with its invoice to be tried again, and once it was given up."""
    given_up = {state["latest_invoice"]: {"status": "open", "next_payment_attempt": None}}
    rows = [plan_row([state], plans, invoices, deleted=False) for invoices in ({}, given_up)]
    return rows[:1] if rows[0] == rows[1] else rows


def mappings_of(stage: SteppedGateway) -> list[dict[str, str]]:
    """Which products stood for which plans, in the course of time, from the first customer on."""
    plans: dict[str, str] = {}
    mappings = [plans]
    customers = 0
    for event in stage.events:
        thing = event["data"]["object"]
        if event["type"] == "customer.created":
            customers += 1
            mappings = mappings[-1:] if customers == 1 else mappings
        if thing["object"] == "product":
            plans = {product: plan for product, plan in plans.items() if product != thing["id"]}
            if plan := thing["metadata"].get("konnect_plan"):
                plans[thing["id"]] = plan
            if plans != mappings[-1]:
                mappings.append(plans)
    return mappings
