"""A batch of events takes as many statements as a single event."""

from collections.abc import Callable, Sequence
from typing import Any

import orjson
import pytest
from sqlalchemy import text

from gateway.db import jobs
from gateway.services.webhooks import drain
from handlers import HANDLERS
from tests.support.counted_statements import counted
from tests.support.json_types import Json
from tests.support.recorded_events import changed
from tests.support.stripe_events import deliver
from tests.support.world import World

MANY = 100


def recorded(name: str, number: int, **changes: Any) -> Json:
    """Return a recorded event about objects of organization ``number``."""
    body = changed(name, {"customer": f"cus_{number}", "id": f"{name}_{number}", **changes})
    return body | {"id": f"evt_test_{number}"}


def ordinary(number: int) -> list[Json]:
    return [recorded("customer.subscription.updated", number)]


def of_another_version(number: int) -> list[Json]:
    return [recorded("customer.subscription.updated", number) | {"api_version": "2024-06-20"}]


def of_one_second(number: int) -> list[Json]:
    """Return two states of one second in unknown order."""
    one, other = (recorded("customer.subscription.updated", number, status=status) for status in ("active", "past_due"))
    del one["data"]["previous_attributes"], other["data"]["previous_attributes"]
    return [one, other | {"id": f"evt_test_{number}_too"}]


def of_what_is_only_named(number: int) -> list[Json]:
    return [recorded("credit_note.created", number, invoice=f"in_{number}", customer_balance_transaction=None)]


KINDS: dict[Callable[[int], list[Json]], str | None] = {
    ordinary: None,
    of_another_version: jobs.REFRESH,
    of_one_second: jobs.REFRESH,
    of_what_is_only_named: jobs.LOOK_UP,
}


def lookup_jobs(world: World) -> list[str]:
    """Return the tasks of all jobs that call Stripe or may call it."""
    query = text("SELECT task_name FROM procrastinate_jobs WHERE task_name = ANY(:names)")
    with world.gateway.database.transaction() as session:
        return list(session.scalars(query, {"names": [jobs.REFRESH, jobs.LOOK_UP]}))


@pytest.fixture
def known(world: World) -> World:
    """Create the organizations that the events are about."""
    world.settle()
    organizations = text(
        "INSERT INTO organizations (id, stripe_customer_id, created_at)"
        " SELECT 'org_' || number, 'cus_' || number, now() FROM generate_series(0, :many) AS number"
    )
    with world.gateway.database.transaction() as session:
        session.execute(organizations, {"many": MANY})
    return world


def count_statements(world: World, bodies: Sequence[Json], monkeypatch: pytest.MonkeyPatch) -> int:
    """Process the events as one batch and return how many statements that took."""
    for body in bodies:
        assert deliver(world, orjson.dumps(body)).status_code == 200
    with counted(monkeypatch) as statements:
        assert drain.drain_batch(world.gateway, HANDLERS) == len(bodies)
    return len(statements)


@pytest.mark.parametrize(("kind", "job"), KINDS.items(), ids=[kind.__name__ for kind in KINDS])
def test_a_hundred_events_take_as_many_statements_as_one(
    known: World, monkeypatch: pytest.MonkeyPatch, kind: Callable[[int], list[Json]], job: str | None
) -> None:
    of_one = count_statements(known, kind(0), monkeypatch)
    of_many = count_statements(known, [body for number in range(1, MANY + 1) for body in kind(number)], monkeypatch)
    assert of_one == of_many
    assert lookup_jobs(known) == ([] if job is None else [job] * (1 + MANY))


def test_waiting_jobs_are_not_inserted_one_by_one(known: World, monkeypatch: pytest.MonkeyPatch) -> None:
    first = [of_another_version(number)[0] for number in range(MANY)]
    again = [each | {"id": f"{each['id']}_again"} for each in first]
    enqueuing = count_statements(known, first, monkeypatch)
    assert count_statements(known, again, monkeypatch) < enqueuing
    assert len(lookup_jobs(known)) == MANY
