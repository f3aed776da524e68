"""A SELECT that goes to the driver directly treats an outage as all other statements do."""

import pytest
from sqlalchemy import text

from gateway.errors import DatabaseUnavailable
from tests.support.world import World


def test_a_connection_that_ends_in_a_read_is_an_outage(world: World) -> None:
    database = world.gateway.database
    with pytest.raises(DatabaseUnavailable):
        database.read("SELECT pg_terminate_backend(pg_backend_pid())", {})
    assert database.read("SELECT 1", {}) == [(1,)]


def wait_too_long(world: World) -> None:
    with world.gateway.database.transaction() as session:
        session.execute(text("SET LOCAL statement_timeout = 10"))
        session.execute(text("SELECT pg_sleep(5)"))


def test_a_statement_that_times_out_is_an_outage(world: World) -> None:
    with pytest.raises(DatabaseUnavailable):
        wait_too_long(world)
