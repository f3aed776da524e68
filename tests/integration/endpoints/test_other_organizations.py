"""No route shows or changes what belongs to another organization. The cases come from the OpenAPI document."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import select
from werkzeug.test import TestResponse

from gateway.db.models import Base, Invoice, Organization
from tests.support.json_types import Json
from tests.support.world import World

OWN = {
    "amounts",
    "at",
    "comment",
    "context",
    "currency",
    "events",
    "feedback",
    "interval",
    "from",
    "If-Match",
    "If-None-Match",
    "key",
    "limit",
    "meter",
    "plan",
    "quantity",
    "return_url",
    "shown_price",
    "spend_limit",
    "to",
    "trial",
    "value",
}
"""Parameters and fields that name nothing of another organization."""
WHOLE_BODIES = {"createSalesInquiry", "replaceBillingDetails"}
"""Operations whose bodies hold only what a person typed."""


@dataclass
class Case:
    """A request with at most one id of the other organization."""

    method: str
    path: str
    foreign: str | None
    query: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    body: Json | None = None


@pytest.fixture
def ids(world: World) -> dict[str, str]:
    """Return the ids of an organization on Plus, by the names that they have in the document."""
    theirs = world.api("org_1")
    theirs.ok("POST", "/subscription", plan="free")
    theirs.add_card(world.stripe)
    spare = theirs.add_card(world.stripe)
    headers = {"Authorization": f"Bearer {world.token('org_1')}", "Idempotency-Key": "key-of-org-1"}
    change = world.client.patch("/v1/subscription", json={"plan": "plus"}, headers=headers).get_json()
    quote = theirs.ok("POST", "/subscription/preview", plan="plus", quantity=3)
    world.settle()
    return {
        "change_id": change["id"],
        "invoice_id": world.rows(Invoice)[0].id,
        "payment_method_id": spare,
        "payment_method": spare,
        "quote": quote["token"],
        "starting_after": world.rows(Invoice)[0].id,
        "Idempotency-Key": "key-of-org-1",
        "organization_id": "org_1",
        "organization_ids": "org_1",
    }


def cases(document: Json, ids: dict[str, str]) -> Iterator[Case]:
    """Yield each operation with each id that it takes, and without any if it takes none."""
    for path, operations in document["paths"].items():
        shared = operations.get("parameters", [])
        for method, operation in operations.items():
            if method != "parameters":
                yield from cases_of(document, method, path, operation | {"shared": shared}, ids)


def cases_of(document: Json, method: str, path: str, operation: Json, ids: dict[str, str]) -> Iterator[Case]:
    """Yield the cases of one operation."""
    parameters = [resolve(document, each) for each in (*operation["shared"], *operation.get("parameters", []))]
    body = body_of(document, operation)
    taken = [each for each in parameters if takes_id(each["name"], each["schema"], ids)]
    if not any(each["in"] == "path" for each in taken):
        yield Case(method, path, None, body=body)
    for parameter in taken:
        name = parameter["name"]
        yield Case(
            method,
            path.replace(f"{{{name}}}", ids[name]),
            name,
            query={name: ids[name]} if parameter["in"] == "query" else {},
            headers={name: ids[name]} if parameter["in"] == "header" else {},
            body=body,
        )
    for name in fields_of(document, operation):
        if takes_id(name, {"type": "string"}, ids):
            yield Case(method, path, name, body={**(body or {}), name: ids[name]})


def takes_id(name: str, schema: Json, ids: dict[str, str]) -> bool:
    """Return whether a parameter or field takes an id. A new one must be known to this test."""
    assert name in ids or name in OWN, f"{name}: add it to the ids or to OWN"
    return name in ids and schema.get("type") == "string"


def body_of(document: Json, operation: Json) -> Json | None:
    """Return a valid body, which asks for Plus if it names a plan."""
    if "requestBody" not in operation:
        return None
    if operation["operationId"] in WHOLE_BODIES:
        example: Json = operation["requestBody"]["content"]["application/json"]["example"]
        return example
    schema = schema_of(document, operation)
    return {"plan": "plus"} if "plan" in schema["properties"] else {}


def fields_of(document: Json, operation: Json) -> list[str]:
    """Return the names of the fields that may hold an id."""
    if "requestBody" not in operation or operation["operationId"] in WHOLE_BODIES:
        return []
    return list(schema_of(document, operation)["properties"])


def schema_of(document: Json, operation: Json) -> Json:
    """Return the schema of a body."""
    return resolve(document, operation["requestBody"]["content"]["application/json"]["schema"])


def resolve(document: Json, described: Json) -> Json:
    """Return a component instead of the reference to it."""
    if "$ref" not in described:
        return described
    found: Any = document
    for part in described["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return dict(found)


def belongings(world: World) -> dict[str, Any]:
    """Return everything of the first organization, in our tables and at Stripe."""
    rows: dict[str, Any] = {}
    with world.gateway.database.transaction() as session:
        for name, table in Base.metadata.tables.items():
            if "organization_id" in table.columns:
                query = select(table).where(table.c.organization_id == "org_1").order_by(*table.primary_key)
                rows[name] = [tuple(row) for row in session.execute(query)]
    [customer] = [each.stripe_customer_id for each in world.rows(Organization) if each.id == "org_1"]
    assert customer is not None
    stripe = world.stripe.v1
    return rows | {
        "customer": str(stripe.customers.retrieve(customer, {"expand": ["tax_ids"]})),
        "cards": str(stripe.customers.payment_methods.list(customer)),
        "subscriptions": str(stripe.subscriptions.list({"customer": customer})),
        "invoices": str(stripe.invoices.list({"customer": customer})),
    }


def send(world: World, case: Case) -> TestResponse:
    """Send the request as the second organization."""
    headers = {"Authorization": f"Bearer {world.token('org_2')}", **case.headers}
    return world.client.open(
        case.path, method=case.method.upper(), headers=headers, query_string=case.query, json=case.body
    )


def test_no_route_shows_or_changes_another_organizations_objects(world: World, ids: dict[str, str]) -> None:
    mine = world.api("org_2")
    mine.ok("POST", "/subscription", plan="free")
    mine.add_card(world.stripe)
    world.settle()
    before = belongings(world)
    found = list(cases(world.client.get("/v1/openapi.json").get_json(), ids))
    assert {each.foreign for each in found} == {*ids, None}
    found.sort(key=lambda case: case.foreign in {None, "Idempotency-Key"})  # last, because these change our objects
    for case in found:
        answer = send(world, case)
        assert answer.status_code < 500, case
        if case.foreign not in {None, "Idempotency-Key"}:
            assert answer.status_code in {403, 404}, (case, answer.get_data(as_text=True))
        assert "Idempotent-Replayed" not in answer.headers, case
        shown = answer.get_data(as_text=True)
        others = {"org_1", *ids.values()} - {ids.get(case.foreign or "")}  # Stripe repeats the id that was sent
        assert not [each for each in others if each in shown], case
    world.settle()
    assert belongings(world) == before
