"""The database refuses writes, as after a failover to a standby. That is an outage like any other."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import psycopg
import pytest
import requests

from tests.faults.burst import Burst
from tests.faults.merged import assert_merged_once, one_event_each, pending
from tests.support.deployment import Deployment
from tests.support.postgres import Crashing
from tests.support.wait import eventually


@pytest.fixture(scope="module")
def server(postgres: Crashing) -> str:
    """Return the URL of the server that tests may break, instead of the shared one."""
    return postgres.url


@contextmanager
def read_only(postgres: Crashing) -> Iterator[None]:
    """Make every session on the server refuse writes for the length of the block."""
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        connection.execute("SELECT pg_reload_conf()")
        try:
            yield
        finally:
            connection.execute("ALTER SYSTEM RESET default_transaction_read_only")
            connection.execute("SELECT pg_reload_conf()")


@pytest.mark.long
@pytest.mark.parametrize("refusing", [read_only, Crashing.demoted])
def test_database_that_refuses_writes_is_an_outage(
    own: Deployment, postgres: Crashing, refusing: Callable[[Crashing], AbstractContextManager[None]]
) -> None:
    deliveries = one_event_each(own, 200)
    own.serve()
    worker = own.work()
    ready = f"http://127.0.0.1:{own.port}/health/ready"
    assert requests.get(ready, timeout=5).ok
    with Burst(own.port, deliveries) as burst, refusing(postgres):
        eventually(lambda: requests.get(ready, timeout=5).status_code == 503)
        burst.start()
        eventually(lambda: burst.refusals[503] > 20)
        assert set(burst.refusals) == {503}
        assert own.api("org_1", "POST", "/subscription", plan="free").status_code == 503
        assert "gateway_database_up 0.0" in own.metrics()
        assert "read-only" in own.command("doctor").stdout
        eventually(lambda: "worker_without_database" in worker.log())
        burst.stop()
    burst.finish()
    eventually(lambda: pending(own) == 0, 5)
    assert worker.alive
    assert_merged_once(own, deliveries)
