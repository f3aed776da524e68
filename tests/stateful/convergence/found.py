"""Reads the tables, and checks what must hold for them in every example."""

from collections import defaultdict
from datetime import datetime
from itertools import groupby
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
from tests.stateful.convergence.expected import Expected, Tables
from tests.stateful.convergence.expected_plan import NO_PLAN, OVER, USABLE, plan_row
from tests.stateful.convergence.stepped_gateway import SteppedGateway
from tests.support.json_types import Json

STANDINGS_OF = dict.fromkeys(USABLE, ("good", "grace", "suspended"))
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
    """Return all rows of a table, ordered by primary key."""
    with stage.gateway.database.transaction() as session:
        found = session.scalars(select(model).order_by(*inspect(model).primary_key))
        return [{column.key: getattr(row, column.key) for column in inspect(model).columns} for row in found]


def check_tables(stage: SteppedGateway, expected: Expected, tables: Tables) -> None:
    """Check that the tables have exactly the expected rows, with the expected fields."""
    granted = {row["id"] for row in rows(stage, Organization) if row["stripe_customer_id"] is None}
    for model in MODELS:
        name, key = model.__tablename__, inspect(model).primary_key[0].name
        if (wanted := tables.get(name)) is None:
            continue
        found = {row[key]: plain(row) if name == "organization_plans" else row for row in rows(stage, model)}
        if name == "plans":  # a product that no longer stands for a plan keeps its row without a key
            found = {product: row for product, row in found.items() if row["key"] is not None}
        if name in ("organizations", "organization_plans"):  # who was only granted a plan has no customer at Stripe
            found = {key: row for key, row in found.items() if key in wanted or key not in granted}
        if name == "organization_plans":  # an organization that never had a plan has no row
            found = dict.fromkeys(expected.owner.values(), NO_PLAN) | found
        cut = {key: {field: row[field] for field in wanted.get(key, row)} for key, row in found.items()}
        assert cut == wanted, f"{name}: {difference(cut, wanted)}"


def difference(found: dict[str, Json], wanted: dict[str, Json]) -> list[str]:
    """Describe the differences between two sets of rows."""
    return [
        f"{key}.{name}: {found.get(key, {}).get(name)!r} here, {wanted.get(key, {}).get(name)!r} at Stripe"
        for key in sorted(found.keys() | wanted.keys())
        for name in sorted(found.get(key, {}).keys() | wanted.get(key, {}).keys())
        if found.get(key, {}).get(name, "nothing") != wanted.get(key, {}).get(name, "nothing")
    ]


def plain(row: Json) -> Json:
    """Return the row with times as the history writes them."""
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in row.items()}


def check_inbox(stage: SteppedGateway) -> None:
    """Check that every delivered event is stored and finished. Only events of another mode may be rejected."""
    states = {row["id"]: row["state"] for row in rows(stage, WebhookEvent)}
    assert stage.delivered <= states.keys(), f"lost: {stage.delivered - states.keys()}"
    for event, state in states.items():
        wanted = ("rejected",) if event.startswith("evt_live") else ("done", "ignored")
        assert state in wanted, f"{event} is {state}"


def check_history(stage: SteppedGateway, expected: Expected) -> None:
    """Check that the history leads to the plan table without gaps or repetitions, through states that Stripe had."""
    current = {row["organization_id"]: row for row in rows(stage, OrganizationPlan)}
    written: dict[str, list[Json]] = defaultdict(list)
    for row in rows(stage, PlanHistory):
        written[row["organization_id"]].append(row)
    mappings = mappings_of(stage)
    for organization in expected.owner.values():
        history = written[organization]
        if organization not in current:
            assert history == []
            continue
        assert [row["version"] for row in history] == list(range(1, len(history) + 1))
        assert history[-1]["version"] == current[organization]["version"]
        before: Json | None = None
        for row in history:
            assert row["before"] == before, f"the history has a gap: {row['before']} follows {before}"
            assert row["after"] != (before or NO_PLAN), f"the entry changes nothing: {row}"
            before = row["after"]
        wanted = {name: plain(current[organization])[name] for name in NO_PLAN}
        assert before == wanted, "the plan table differs from the end of its history"
        check_held(stage, expected, organization, mappings, [row["after"] for row in history])


def check_changes(stage: SteppedGateway) -> None:
    """Check that every change has ended as at Stripe, and that the history names the users who requested changes."""
    states = [event["data"]["object"] for event in stage.events]
    carried_out = {each["metadata"].get("change_id") for each in states if each["object"] == "subscription"}
    changes = {row["id"]: row for row in rows(stage, PlanChange)}
    for change in changes.values():
        assert change["state"] in ("applied", "failed", "abandoned"), f"the change has not ended: {change}"
        assert change["state"] == "applied" or change["id"] not in carried_out, f"Stripe carried it out: {change}"
    for entry in rows(stage, PlanHistory):
        if entry["change_id"] is not None:
            change = changes[entry["change_id"]]
            assert (change["organization_id"], change["actor"]) == (entry["organization_id"], entry["actor"])
            # An enrolment stands in the history even if the change failed later.
            before = entry["before"] or NO_PLAN
            enrolled_by_it = before["status"] in ("none", *OVER)
            # An organization loses its plan before Stripe makes the change, and gets it back if Stripe does not.
            left_by_it = before["leaving"] or entry["after"]["leaving"]
            assert change["state"] == "applied" or enrolled_by_it or left_by_it, f"{entry} by {change}"


def check_held(
    stage: SteppedGateway, expected: Expected, organization: str, mappings: list[dict[str, str]], claimed: list[Json]
) -> None:
    """Check that Stripe once had every state in the history, and that the history never goes back in time."""
    mine = {customer for customer, name in expected.owner.items() if name == organization}
    events = [event for event in stage.events if event["data"]["object"].get("customer") in mine]
    states = [each["data"]["object"] for each in events if each["data"]["object"]["object"] == "subscription"]
    ids = {state["id"] for state in states}
    terms: Any = {"deleted": False, "had_plan": ids, "now": stage.now()}
    held = [[core(plan_row([state], plans, {}, **terms)) for plans in mappings] for state in states]
    for row in claimed:
        assert core(row) == core(NO_PLAN) or any(core(row) in rows for rows in held), (
            f"Stripe never had this state: {row}"
        )
        assert row["standing"] in STANDINGS_OF.get(row["status"], ("good", "suspended")), f"a wrong standing: {row}"
    if len(ids) == len(mappings) == 1:
        # A grant may come before the first subscription.
        remaining = iter([core(NO_PLAN), *(row for rows in held for row in rows), core(NO_PLAN)])
        for row, _ in groupby(map(core, claimed)):
            assert row in remaining, f"the history went back to {row} in {claimed}"


def core(row: Json) -> Json:
    """Return the row without what follows from the invoices, the charges, the grants and the open change."""
    other = ("plan", "standing", "returned_payments", "granted_plan", "granted_until", "leaving")
    return {name: value for name, value in row.items() if name not in other}


def mappings_of(stage: SteppedGateway) -> list[dict[str, str]]:
    """Return the successive mappings of products to plans, starting with the first customer."""
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
