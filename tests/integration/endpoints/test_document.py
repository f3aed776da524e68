"""The OpenAPI document is complete, and its examples and patterns are right."""

import re
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from gateway import errors
from schemas.fields import LINE, LINES, is_not_text
from schemas.subscription import CHANGE_ERRORS
from tests.support.documented import Document, close
from tests.support.interface import error_codes
from tests.support.json_types import Json
from tests.support.world import World

# Stripe, an orchestrator, Prometheus and a reader of the document call these. A client of the interface does not.
LEFT_OUT = {"/webhooks/stripe", "/health/live", "/health/ready", "/metrics", "/v1/openapi.json"} | {
    *("/billing", "/billing/static/{name}", "/billing/theme/{name}", "/docs", "/docs/{name}")
}


@pytest.fixture
def document(world: World) -> Json:
    found: Json = world.client.get("/v1/openapi.json").get_json()
    return found


def operations(document: Json) -> Iterator[tuple[str, Json]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if method != "parameters":
                yield f"{method} {path}", operation


def walk(found: Any) -> Iterator[Json]:
    if isinstance(found, list):
        for each in found:
            yield from walk(each)
    if isinstance(found, dict):
        yield found
        for each in found.values():
            yield from walk(each)


def test_every_route_is_documented_or_left_out_on_purpose(world: World, document: Json) -> None:
    rules = {re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule) for rule in world.client.application.url_map.iter_rules()}
    assert rules - LEFT_OUT == set(document["paths"])


def test_every_operation_has_an_id_a_scope_and_its_errors(document: Json) -> None:
    found = dict(operations(document))
    assert len({each["operationId"] for each in found.values()}) == len(found)
    for name, operation in found.items():
        [scope] = operation["security"][0]["bearer"]
        assert scope in {"billing:read", "billing:write", "plans:read", "usage:write"}, name
        assert {"400", "401", "403", "413", "415", "429", "500", "503"} <= set(operation["responses"]), name
        assert "default" not in operation["responses"], name


def test_every_json_body_has_an_example_that_fits_its_schema(document: Json) -> None:
    components = close(document["components"])
    for name, operation in operations(document):
        bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
        for body in bodies:
            if (content := body.get("content", {}).get("application/json")) is not None:
                schema = {"components": components, **content["schema"]}
                assert list(Draft202012Validator(schema).iter_errors(content["example"])) == [], name


def test_every_pattern_means_the_same_to_a_javascript_engine(document: Json) -> None:
    patterns = {each["pattern"] for each in walk(document) if isinstance(each.get("pattern"), str)}
    assert patterns
    for pattern in patterns:
        assert pattern.startswith("^"), pattern
        assert pattern.endswith("$"), pattern
        assert not re.search(r"\\[AZzswdb]|\(\?[^:]", pattern), pattern  # missing there, or of another meaning


def test_text_patterns_accept_what_the_gateway_accepts() -> None:
    for code in range(sys.maxunicode + 1):
        character = chr(code)
        if 0xD800 <= code <= 0xDFFF:  # no JSON text holds half a surrogate pair
            continue
        accepted = not is_not_text(character)
        assert (re.match(LINE, f"a{character}b") is not None) == accepted, hex(code)
        assert (re.match(LINES, f"a{character}b") is not None) == (accepted or character in "\n\t"), hex(code)
        assert (re.match(LINE, character) is not None) == (accepted and bool(character.strip())), hex(code)


def test_the_plans_are_the_catalogues(world: World, document: Json) -> None:
    schemas = document["components"]["schemas"]
    keys = list(world.gateway.catalog.keys)
    assert schemas["ModifySubscription"]["properties"]["plan"]["enum"] == keys
    assert schemas["PlanDetails"]["properties"]["plan"]["enum"] == [*keys, "unmapped"]


def test_every_link_leads_to_an_operation(document: Json) -> None:
    ids = {operation["operationId"] for _, operation in operations(document)}
    found = [each["links"] for each in walk(document) if "links" in each]
    assert found
    assert {link["operationId"] for links in found for link in links.values()} <= ids


def test_a_change_ends_with_codes_that_exist() -> None:
    assert set(CHANGE_ERRORS) <= dict(error_codes(errors.GatewayError)).keys()


def test_an_answer_that_differs_from_the_document_is_noticed(world: World, document: Json) -> None:
    described = Document(document)
    answer = world.client.get("/v1/plans", headers={"Authorization": f"Bearer {world.token()}"})
    response = world.client.application.make_response((answer.get_json(), 200))
    assert described.problem("GET", "/v1/plans", response) is None
    response.status_code = 418
    assert described.problem("GET", "/v1/plans", response) == "its status is not documented"
    more = world.client.application.make_response((answer.get_json() | {"more": 1}, 200))
    assert "more" in (described.problem("GET", "/v1/plans", more) or "")
    more.headers["Location"] = "/"
    assert "Location" in (described.problem("GET", "/v1/plans", more) or "")
