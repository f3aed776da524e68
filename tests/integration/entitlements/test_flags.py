"""OpenFeature SDKs evaluate entitlements as flags, through OFREP."""

from collections.abc import Iterator
from typing import Any

import pytest
from openfeature import api as openfeature
from openfeature.client import OpenFeatureClient
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode
from werkzeug.test import TestResponse

from tests.support.json_types import Json
from tests.support.world import World

ORG_1 = EvaluationContext("org_1", {"region": "eu"})


@pytest.fixture
def sdk(world: World) -> Iterator[OpenFeatureClient]:
    """Return OpenFeature's own client, on its own OFREP provider, over HTTP."""
    [endpoint] = world.stripe.v1.webhook_endpoints.list().data
    token = world.token("service", ("plans:read",))
    provider = OFREPProvider(
        endpoint.url.removesuffix("/webhooks/stripe"), headers_factory=lambda: {"Authorization": f"Bearer {token}"}
    )
    openfeature.set_provider(provider)
    yield openfeature.get_client()
    openfeature.clear_providers()
    provider.session.close()


def evaluate(world: World, key: str | None = None, *, tag: str = "", **request: Any) -> TestResponse:
    """Send one evaluation, or that of all flags without a key."""
    token = world.token("service", ("plans:read",))
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", "If-None-Match": tag}
    path = "/ofrep/v1/evaluate/flags" + (f"/{key}" if key is not None else "")
    return world.client.post(path, headers=headers, **request)


def on(organization_id: str) -> Json:
    return {"context": {"targetingKey": organization_id, "plan": "ignored"}}


def test_the_openfeature_sdk_reads_features_and_limits(world: World, sdk: OpenFeatureClient) -> None:
    assert sdk.get_boolean_value("sso", default_value=True, evaluation_context=ORG_1) is False
    details = sdk.get_integer_details("seats", 0, ORG_1)
    assert (details.value, details.variant, details.reason) == (1, "basic", "TARGETING_MATCH")
    assert details.flag_metadata == {"standing": "good", "unlimited": False}
    api = world.api()
    api.ok("POST", "/subscription", plan="basic")
    api.add_card(world.stripe)
    api.ok("PATCH", "/subscription", plan="starter")
    assert sdk.get_integer_value("seats", 0, ORG_1) == 50


def test_the_openfeature_sdk_understands_refusals(sdk: OpenFeatureClient) -> None:
    unknown = sdk.get_boolean_details("other", default_value=True, evaluation_context=ORG_1)
    assert (unknown.value, unknown.error_code) == (True, ErrorCode.FLAG_NOT_FOUND)
    nobody = sdk.get_boolean_details("sso", default_value=True)
    assert (nobody.value, nobody.error_code) == (True, ErrorCode.TARGETING_KEY_MISSING)
    wrong = sdk.get_boolean_details("sso", default_value=True, evaluation_context=EvaluationContext("org 1"))
    assert wrong.error_code == ErrorCode.INVALID_CONTEXT
    assert sdk.get_string_details("sso", "", ORG_1).error_code == ErrorCode.TYPE_MISMATCH


def test_all_flags_come_with_a_tag(world: World) -> None:
    first = evaluate(world, json=on("org_1"))
    flags = {each["key"]: each["value"] for each in first.get_json()["flags"]}
    assert flags == {"sso": False, "seats": 1}
    assert evaluate(world, json=on("org_1"), tag=first.headers["ETag"]).status_code == 304
    assert evaluate(world, json=on("org_2"), tag='"other"').status_code == 200


@pytest.mark.parametrize("key", [None, "sso"])
@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "PARSE_ERROR"),
        (b"", "TARGETING_KEY_MISSING"),
        (b"[]", "TARGETING_KEY_MISSING"),
        (b'{"context": "org_1"}', "TARGETING_KEY_MISSING"),
        (b'{"context": {"targetingKey": 1}}', "INVALID_CONTEXT"),
    ],
)
def test_a_refusal_is_a_problem_and_an_evaluation_failure(
    world: World, key: str | None, body: bytes, code: str
) -> None:
    answer = evaluate(world, key, data=body)
    found: Json = answer.get_json()
    assert (answer.status_code, found["code"], found["errorCode"]) == (400, "evaluation_refused", code)
    assert (found["errorDetails"], found.get("key")) == (found["detail"], key)
