"""PgBouncer between the gateway and PostgreSQL. It is refused in transaction mode, and works in session mode."""

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from gateway.db.pooler import SHARES_SESSIONS
from gateway.db.session import SESSION_SETTINGS
from tests.faults.burst import Burst
from tests.faults.merged import assert_merged_once, one_event_each, pending
from tests.support.deployment import Deployment
from tests.support.pgbouncer import IGNORES_SETTINGS, needs_pgbouncer, pgbouncer
from tests.support.wait import eventually

pytestmark = [needs_pgbouncer, pytest.mark.long]


def test_no_process_starts_behind_a_pooler_in_transaction_mode(own: Deployment) -> None:
    direct = own.environment["GATEWAY_DATABASE_URL"]
    with pgbouncer(direct, "transaction", IGNORES_SETTINGS) as url:
        own.environment["GATEWAY_DATABASE_URL"] = url
        addresses = (f"--bind=127.0.0.1:{own.port}", f"--metrics-bind=127.0.0.1:{own.metrics_port}")
        for command in (("serve", *addresses), ("worker",), ("migrate",)):
            refused = own.command(*command)
            assert refused.returncode == 1
            assert f"gateway: {SHARES_SESSIONS}" in refused.stderr.splitlines()
        assert f"✗ database: {SHARES_SESSIONS}" in own.command("doctor").stdout


def test_events_are_merged_through_a_session_pooler(own: Deployment) -> None:
    deliveries = one_event_each(own, 300)
    direct = own.environment["GATEWAY_DATABASE_URL"]
    with psycopg.connect(direct, autocommit=True) as connection:
        for setting, value in SESSION_SETTINGS.items():
            name = conninfo_to_dict(direct)["dbname"]
            connection.execute(f"ALTER DATABASE {name} SET {setting} = '{value}'".encode())
    with pgbouncer(direct, "session", IGNORES_SETTINGS) as url:
        own.environment["GATEWAY_DATABASE_URL"] = url
        web, worker = own.serve(), own.work()
        with Burst(own.port, deliveries) as burst:
            burst.start()
            burst.finish()
        eventually(lambda: pending(own) == 0)
        assert_merged_once(own, deliveries)
        web.kill()
        worker.kill()
