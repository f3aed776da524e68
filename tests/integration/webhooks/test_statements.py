"""A batch costs as many statements as a single event, whatever the events are."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import orjson
import psycopg
import pytest
from sqlalchemy import text

from gateway.db import jobs
from gateway.services.webhooks import drain
from handlers import HANDLERS
from tests.support.json_types import Json
from tests.support.recorded_events import changed
from tests.support.stripe_events import deliver
from tests.support.world import World

MANY = 100
LIVES = ";"  # SQLAlchemy's look


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What this thread has PostgreSQL execute: at the driver, where Procrastinate's statements pass as well.

    But for the look whether a connection lives, which is made only after a rest.
    """
    seen: list[str] = []
    mine = threading.get_ident()
    execute, executemany = psycopg.Cursor.execute, psycopg.Cursor.executemany

    def note(query: object, times: int) -> None:
        if threading.get_ident() == mine and str(query) != LIVES:
            seen.extend([str(query)] * times)

    def one(cursor: psycopg.Cursor[Any], query: Any, *args: Any, **options: Any) -> Any:
        note(query, 1)
        return execute(cursor, query, *args, **options)

    def many(cursor: psycopg.Cursor[Any], query: Any, rows: Any, **options: Any) -> None:
        note(query, len(rows))
        executemany(cursor, query, rows, **options)

    with monkeypatch.context() as driver:
        driver.setattr(psycopg.Cursor, "execute", one)
        driver.setattr(psycopg.Cursor, "executemany", many)
        yield seen


def told(name: str, number: int, **changes: Any) -> Json:
    """A recorded event, about objects of organization ``number``."""
    body = changed(name, {"customer": f"cus_{number}", "id": f"{name}_{number}", **changes})
    return body | {"id": f"evt_test_{number}"}


def ordinary(number: int) -> list[Json]:
    return [told("customer.subscription.updated", number)]


def of_another_version(number: int) -> list[Json]:
    return [told("customer.subscription.updated", number) | {"api_version": "2024-06-20"}]


def of_one_second(number: int) -> list[Json]:
    """Two states, and nothing says which came first."""
    one, other = (told("customer.subscription.updated", number, status=status) for status in ("active", "past_due"))
    del one["data"]["previous_attributes"], other["data"]["previous_attributes"]
    return [one, other | {"id": f"evt_test_{number}_too"}]


def of_what_is_only_named(number: int) -> list[Json]:
    return [told("credit_note.created", number, invoice=f"in_{number}", customer_balance_transaction=None)]


KINDS: dict[Callable[[int], list[Json]], str | None] = {
    ordinary: None,
    of_another_version: jobs.REFRESH,
    of_one_second: jobs.REFRESH,
    of_what_is_only_named: jobs.LOOK_UP,
}


def asked(world: World) -> list[str]:
    """The jobs that ask Stripe for something, or may."""
    query = text("SELECT task_name FROM procrastinate_jobs WHERE task_name = ANY(:names)")
    with world.gateway.database.transaction() as session:
        return list(session.scalars(query, {"names": [jobs.REFRESH, jobs.LOOK_UP]}))


@pytest.fixture
def known(world: World) -> World:
    """With the organizations that the events are about."""
    world.settle()
    organizations = text(
        "INSERT INTO organizations (id, stripe_customer_id, created_at)"
        " SELECT 'org_' || number, 'cus_' || number, now() FROM generate_series(0, :many) AS number"
    )
    with world.gateway.database.transaction() as session:
        session.execute(organizations, {"many": MANY})
    return world


def taken(world: World, bodies: Sequence[Json], monkeypatch: pytest.MonkeyPatch) -> int:
    """The number of statements with which they are worked off, as one batch."""
    for body in bodies:
        assert deliver(world, orjson.dumps(body)).status_code == 200
    with counted(monkeypatch) as statements:
        assert drain.drain_batch(world.gateway, HANDLERS) == len(bodies)
    return len(statements)


@pytest.mark.parametrize(("kind", "job"), KINDS.items(), ids=[kind.__name__ for kind in KINDS])
def test_a_hundred_events_take_as_many_statements_as_one(
    known: World, monkeypatch: pytest.MonkeyPatch, kind: Callable[[int], list[Json]], job: str | None
) -> None:
    of_one = taken(known, kind(0), monkeypatch)
    of_many = taken(known, [body for number in range(1, MANY + 1) for body in kind(number)], monkeypatch)
    assert of_one == of_many
    assert asked(known) == ([] if job is None else [job] * (1 + MANY))


def test_jobs_that_wait_already_are_not_tried_one_by_one(known: World, monkeypatch: pytest.MonkeyPatch) -> None:
    first = [of_another_version(number)[0] for number in range(MANY)]
    again = [each | {"id": f"{each['id']}_again"} for each in first]
    enqueuing = taken(known, first, monkeypatch)
    assert taken(known, again, monkeypatch) < enqueuing
    assert len(asked(known)) == MANY
