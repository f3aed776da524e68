"""Another session of the database keeps something locked."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
import requests

from tests.faults.burst import Burst
from tests.faults.merged import assert_merged_once, one_event_each, pending
from tests.support.deployment import Deployment
from tests.support.wait import eventually


@contextmanager
def locked(stage: Deployment, statement: str) -> Iterator[int]:
    """Hold a lock for the length of the block. Yield the process id of the session."""
    with psycopg.connect(stage.environment["GATEWAY_DATABASE_URL"]) as connection:
        connection.execute(statement.encode())
        yield connection.info.backend_pid


@pytest.mark.long
def test_locked_organization_delays_no_other(own: Deployment) -> None:
    deliveries = one_event_each(own, 400)
    own.serve()
    own.work()
    with locked(own, "SELECT FROM organizations WHERE id IN ('org_7', 'org_8') FOR UPDATE") as pid:
        with Burst(own.port, deliveries) as burst:
            burst.finish()
        eventually(lambda: pending(own) == 2)
        assert "gateway_organizations_locked 2.0" in own.metrics()
        assert f"org_7 is locked by session {pid} of PostgreSQL" in own.command("doctor").stdout
        assert '"events_put_off"' in own.said()
    eventually(lambda: pending(own) == 0, 3)
    assert_merged_once(own, deliveries)


@pytest.mark.long
def test_locked_inbox_refuses_deliveries_and_health_is_answered(own: Deployment) -> None:
    own.environment["GATEWAY_WEB_THREADS"] = "1"
    deliveries = one_event_each(own, 200)
    own.serve()
    own.work()
    address = f"http://127.0.0.1:{own.port}/health"
    with Burst(own.port, deliveries) as burst:
        with locked(own, "LOCK TABLE webhook_events") as pid:
            burst.start()
            eventually(lambda: burst.in_flight > 4)  # two threads, so some deliveries wait for one
            for _ in range(20):
                assert requests.get(f"{address}/live", timeout=1).ok
                assert requests.get(f"{address}/ready", timeout=1).ok
            eventually(lambda: burst.refusals[503] > 4)
            eventually(lambda: "gateway_database_up 0.0" in own.metrics(), 20)
            assert f"webhook_events is locked by session {pid} of PostgreSQL" in own.command("doctor").stdout
        burst.finish()
        assert set(burst.refusals) == {503}
    eventually(lambda: pending(own) == 0, 5)
    assert_merged_once(own, deliveries)
