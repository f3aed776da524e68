"""``Idempotency-Key``, ``If-Match`` and the rate limit make a request happen once, on the state its caller saw."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from gateway.app import build_gateway, create_app
from gateway.db.models import IdempotencyKey, PlanChange
from gateway.endpoints.idempotent import fingerprint
from gateway.services import idempotency
from gateway.services.operations import retention
from gateway.services.plan_changes import admission
from gateway.services.plan_changes.request import change_plan, write_intent
from gateway.services.rate_limits.table import CHANGES
from gateway.services.runtime import Caller
from schemas.changes import ChangeCommand
from tests.support.api import ApiClient, problem_of
from tests.support.world import World

PLUS = ChangeCommand(plan="plus")
CALLER = Caller(organization_id="org_1", actor="test", idempotency_key="click-1")


def send(
    world: World, method: str = "PATCH", *, client: FlaskClient | None = None, headers: dict[str, str], **body: Any
) -> TestResponse:
    """Send a request of org_1 with extra headers."""
    sender = client or world.client
    named = {"Authorization": f"Bearer {world.token()}", **headers}
    return sender.open("/v1/subscription", method=method, json=body or None, headers=named)


def fingerprint_patch(world: World, **body: Any) -> str:
    """Return the fingerprint of a PATCH request."""
    with world.client.application.test_request_context("/v1/subscription", method="PATCH", json=body):
        return fingerprint()


def changes(world: World) -> list[PlanChange]:
    """Return the requested upgrades."""
    return [change for change in world.rows(PlanChange) if change.to_plan == "plus"]


@pytest.mark.usefixtures("api")
def test_a_repeated_request_gets_the_first_answer(world: World) -> None:
    first = send(world, headers={"Idempotency-Key": "click-1"}, plan="plus", quantity=3)
    again = send(world, headers={"Idempotency-Key": "click-1"}, plan="plus", quantity=3)
    assert (first.status_code, first.headers.get("Idempotent-Replayed")) == (200, None)
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (200, "true")
    assert again.get_json() == first.get_json()
    assert (again.headers["Location"], again.content_type) == (first.headers["Location"], first.content_type)
    assert len(changes(world)) == 1


def test_repeated_request_gets_the_first_refusal(world: World) -> None:
    world.api().ok("POST", "/subscription", plan="free")
    first = send(world, headers={"Idempotency-Key": "click-1"}, plan="plus")
    world.api().add_card(world.stripe)
    again = send(world, headers={"Idempotency-Key": "click-1"}, plan="plus")
    assert (first.status_code, again.status_code) == (402, 402)
    assert again.content_type == "application/problem+json"
    assert again.get_json() == first.get_json()
    assert send(world, headers={"Idempotency-Key": "click-2"}, plan="plus").status_code == 200


@pytest.mark.usefixtures("api")
@pytest.mark.parametrize("other", [{"plan": "plus", "quantity": 4}, {"plan": "free"}])
def test_the_same_key_with_another_request_is_refused(world: World, other: dict[str, Any]) -> None:
    send(world, headers={"Idempotency-Key": "click-1"}, plan="plus", quantity=3)
    answer = send(world, headers={"Idempotency-Key": "click-1"}, **other)
    assert (answer.status_code, answer.get_json()["code"]) == (422, "idempotency_key_reused")


def test_fingerprint_covers_method_address_condition_and_body(world: World) -> None:
    def fingerprint_of(
        address: str = "/v1/subscription", method: str = "PATCH", match: str = "*", plan: str = "plus"
    ) -> str:
        headers = {"If-Match": match}
        with world.client.application.test_request_context(
            address, method=method, headers=headers, json={"plan": plan}
        ):
            return fingerprint()

    others = [
        fingerprint_of(method="POST"),
        fingerprint_of("/v1/subscription?quote=a"),
        fingerprint_of("/v1/subscription/preview"),
        fingerprint_of(match='"7"'),
        fingerprint_of(plan="free"),
    ]
    assert fingerprint_of() == fingerprint_of()
    assert len({fingerprint_of(), *others}) == 6


@pytest.mark.usefixtures("api")
def test_the_same_key_with_another_method_or_query_is_refused(world: World) -> None:
    send(world, headers={"Idempotency-Key": "click-1"}, plan="plus")
    send(world, "DELETE", headers={"Idempotency-Key": "click-2"})
    named = {"Authorization": f"Bearer {world.token()}", "Idempotency-Key": "click-2"}
    for answer in (
        send(world, "POST", headers={"Idempotency-Key": "click-1"}, plan="plus"),
        world.client.delete("/v1/subscription?quote=a.b.c", headers=named),
    ):
        assert (answer.status_code, answer.get_json()["code"]) == (422, "idempotency_key_reused")


@pytest.mark.usefixtures("api")
def test_two_organizations_may_use_the_same_key(world: World) -> None:
    send(world, headers={"Idempotency-Key": "click-1"}, plan="plus")
    other = {"Authorization": f"Bearer {world.token('org_2')}", "Idempotency-Key": "click-1"}
    answer = world.client.post("/v1/subscription", json={"plan": "free"}, headers=other)
    assert answer.get_json()["subscription"]["organization_id"] == "org_2"


@pytest.mark.parametrize("key", ["", " ", "a b", "ü", "x" * 256, "a\x7f"])
def test_a_key_must_be_visible_ascii(world: World, key: str) -> None:
    headers = {"Idempotency-Key": key.encode().decode("latin-1")}
    answer = send(world, headers=headers, plan="plus")
    assert (answer.status_code, answer.get_json()["code"]) == (422, "invalid_request")
    assert world.rows(IdempotencyKey) == []


@pytest.mark.usefixtures("api")
def test_fifty_clicks_with_one_key_make_one_change(world: World) -> None:
    app = create_app(world.gateway)

    def click(_: int = 0) -> TestResponse:
        return send(world, client=app.test_client(), headers={"Idempotency-Key": "click-1"}, plan="plus", quantity=7)

    with ThreadPoolExecutor(50) as pool:
        answers = [*pool.map(click, range(50)), click()]
    early = [each for each in answers if each.status_code != 200]
    assert {problem_of(each) for each in early} <= {(409, "request_in_progress")}
    assert all(each.headers["Retry-After"] == "1" for each in early)
    assert len({json.dumps(each.get_json()) for each in answers if each not in early}) == 1
    assert len(changes(world)) == 1


@pytest.mark.usefixtures("api")
def test_fifty_clicks_with_fifty_keys_make_one_change(world: World) -> None:
    app = create_app(world.gateway)

    def click(number: int) -> int:
        headers = {"Idempotency-Key": f"click-{number}"}
        return send(world, client=app.test_client(), headers=headers, plan="plus", quantity=7).status_code

    with ThreadPoolExecutor(50) as pool:
        statuses = sorted(pool.map(click, range(50)))
    assert statuses == [200] + [409] * 49
    assert len(changes(world)) == 1


@pytest.mark.usefixtures("api")
def test_repeated_request_resumes_a_dead_processes_change(world: World) -> None:
    headers = {"Idempotency-Key": "click-1"}
    assert idempotency.claim_key(world.gateway, CALLER, "click-1", fingerprint_patch(world, plan="plus")) is None
    begun = write_intent(world.gateway, CALLER, PLUS, None).change_id
    # The process dies here, and a minute passes.
    later = replace(world.gateway, clock=lambda: datetime.now(UTC) + idempotency.CLAIM_TIMEOUT + timedelta(seconds=1))
    answer = send(world, client=create_app(later).test_client(), headers=headers, plan="plus")
    assert (answer.status_code, answer.get_json()["id"], answer.get_json()["state"]) == (200, begun, "applied")
    assert len(changes(world)) == 1


@pytest.mark.usefixtures("api")
def test_second_request_with_a_key_in_flight_is_409_without_a_wait(world: World) -> None:
    idempotency.claim_key(world.gateway, CALLER, "click-1", fingerprint_patch(world, plan="plus"))
    began = time.monotonic()
    answer = send(world, headers={"Idempotency-Key": "click-1"}, plan="plus")
    assert time.monotonic() - began < 5
    assert (*problem_of(answer), answer.headers["Retry-After"]) == (409, "request_in_progress", "1")


@pytest.mark.usefixtures("api")
def test_key_is_free_again_after_a_conflict(world: World) -> None:
    send(world, headers={}, plan="plus", quantity=2)
    write_intent(world.gateway, CALLER, ChangeCommand(plan="plus", quantity=5), None)
    assert send(world, headers={"Idempotency-Key": "click-2"}, plan="free").status_code == 409
    world.work()
    [blocking] = [change for change in world.rows(PlanChange) if change.ended_at is None]  # its job is not due yet
    with world.gateway.database.transaction() as session:
        session.get_one(PlanChange, blocking.id).close("abandoned", datetime.now(UTC))
    assert send(world, headers={"Idempotency-Key": "click-2"}, plan="free").status_code == 200


def test_late_release_does_not_discard_the_successors_answer(world: World) -> None:
    idempotency.claim_key(world.gateway, CALLER, "click-1", "print")
    kept = idempotency.Answer(status=200, location=None, body="{}")
    idempotency.store_answer(world.gateway, CALLER, kept)
    idempotency.release_key(world.gateway, CALLER)
    assert idempotency.claim_key(world.gateway, CALLER, "click-1", "print") == kept


def test_failed_release_of_a_key_raises_nothing(world: World) -> None:
    nowhere = "postgresql://nobody@127.0.0.1:9/nothing"
    away = build_gateway(replace(world.gateway.config, database_url=nowhere))
    idempotency.release_key(away, CALLER)
    away.database.close()


@pytest.mark.usefixtures("api")
def test_keys_are_forgotten_after_a_day(world: World) -> None:
    send(world, headers={"Idempotency-Key": "click-1"}, plan="plus")
    retention.prune(world.gateway)
    assert [row.key for row in world.rows(IdempotencyKey)] == ["click-1"]
    retention.prune(replace(world.gateway, clock=lambda: datetime.now(UTC) + timedelta(hours=25)))
    assert world.rows(IdempotencyKey) == []


def test_change_with_an_outdated_version_is_refused(world: World, api: ApiClient) -> None:
    seen = world.client.get("/v1/subscription", headers={"Authorization": f"Bearer {world.token()}"})
    etag = seen.headers["ETag"]
    assert etag.startswith(f'"{seen.get_json()["version"]}-')
    api.ok("PATCH", "/subscription", plan="plus")
    answer = send(world, headers={"If-Match": etag}, plan="plus", quantity=2)
    assert (answer.status_code, answer.get_json()["code"]) == (412, "precondition_failed")
    assert answer.get_json()["version"] == seen.get_json()["version"] + 1


@pytest.mark.usefixtures("api")
@pytest.mark.parametrize("tags", ['"{version}"', '"{version}-0123"', 'W/"77", "{version}"', "*"])
def test_change_with_the_current_version_is_made(world: World, tags: str) -> None:
    version = world.plan_row().version
    assert send(world, headers={"If-Match": tags.format(version=version)}, plan="plus").status_code == 200


@pytest.mark.usefixtures("api")
@pytest.mark.parametrize("tags", ['"x"', '"99"', '"-1"', '"\u0661"', '"' + "9" * 5000 + '"', '""', ",", "", '"', '""*'])
def test_a_header_without_a_tag_of_ours_matches_nothing(world: World, tags: str) -> None:
    headers = {"If-Match": tags.encode().decode("latin-1")}
    assert send(world, headers=headers, plan="plus").status_code == 412
    assert changes(world) == []


def test_too_many_changes_in_an_hour_are_429_with_retry_after(
    world: World, api: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "CHANGES", replace(CHANGES, amount=3))  # the enrolment counts as one
    api.ok("PATCH", "/subscription", plan="plus")
    api.ok("DELETE", "/subscription")
    answer = api("PATCH", "/subscription", plan="plus")
    assert (answer.status_code, answer.get_json()["code"]) == (429, "rate_limited")
    assert 3500 < int(answer.headers["Retry-After"]) <= 3601
    in_an_hour = replace(world.gateway, clock=lambda: datetime.now(UTC) + timedelta(hours=1, seconds=5))
    assert change_plan(in_an_hour, Caller(organization_id="org_1", actor="test"), PLUS).state == "applied"


@pytest.mark.usefixtures("api")
def test_rate_limited_request_succeeds_later_under_the_same_key(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as busy:
        busy.setattr(admission, "CHANGES", replace(CHANGES, amount=1))  # only the enrolment
        assert send(world, headers={"Idempotency-Key": "click-1"}, plan="plus").status_code == 429
    assert send(world, headers={"Idempotency-Key": "click-1"}, plan="plus").status_code == 200
