"""An organization has few idempotency keys. A refused request gives its key up, and no other request does."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import text
from werkzeug.test import TestResponse

from gateway.db.models import IdempotencyKey
from gateway.services import idempotency
from tests.support.api import ApiClient, problem_of
from tests.support.wait import eventually
from tests.support.world import World


def click(world: World, number: int, **body: Any) -> TestResponse:
    """Send a change of the plan with the key of this number. Threads may do so concurrently."""
    headers = {"Authorization": f"Bearer {world.token()}", "Idempotency-Key": f"click-{number}"}
    return world.client.application.test_client().patch("/v1/subscription", json=body, headers=headers)


def keys(world: World) -> set[str]:
    return {row.key for row in world.rows(IdempotencyKey)}


def test_an_organization_has_few_keys_and_none_of_a_change_is_evicted(
    world: World, api: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.add_card(world.stripe)
    monkeypatch.setattr(idempotency, "MAX_KEYS", 3)
    answers = [click(world, number, plan="plus", quantity=number + 1) for number in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert problem_of(answers[-1]) == (429, "rate_limited")
    assert 86_000 < int(answers[-1].headers["Retry-After"]) <= 86_400
    assert keys(world) == {"click-0", "click-1", "click-2"}
    again = click(world, 0, plan="plus", quantity=1)
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (200, "true")
    with world.gateway.database.transaction() as session:
        yesterday = "UPDATE idempotency_keys SET created_at = created_at - interval '1 day' WHERE key = 'click-0'"
        session.execute(text(yesterday))
    assert click(world, 6, plan="plus", quantity=9).status_code == 200


def test_refused_requests_use_up_no_keys(world: World, api: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    api.add_card(world.stripe)
    monkeypatch.setattr(idempotency, "MAX_KEYS", 3)
    assert click(world, 0, plan="plus").status_code == 200
    assert {click(world, number, plan="plus").status_code for number in range(1, 6)} == {409}
    assert keys(world) == {"click-0", "click-4", "click-5"}
    assert click(world, 6, plan="free").status_code == 200


def test_concurrent_requests_make_room_and_keep_a_key_in_flight(
    world: World, api: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.add_card(world.stripe)
    monkeypatch.setattr(idempotency, "MAX_KEYS", 5)
    statuses = [click(world, number, plan="plus").status_code for number in range(5)]
    assert statuses == [200, 409, 409, 409, 409]
    with ThreadPoolExecutor(3) as threads, world.gateway.database.transaction() as session:
        # Another request claims the oldest refused key, which all three have chosen to forget.
        session.execute(text("UPDATE idempotency_keys SET status = NULL, body = NULL WHERE key = 'click-1'"))
        late = [threads.submit(click, world, number, plan="plus") for number in (5, 6, 7)]
        eventually(lambda: world.blocked() == 3)
        session.commit()
        assert [each.result().status_code for each in late] == [409] * 3
    assert {"click-0", "click-1", "click-5", "click-6", "click-7"} <= keys(world)
