"""The performance page's SQL partitions the inbox, and nothing else has to change."""

import json
import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from alembic import command
from sqlalchemy import text

from gateway.app import build_gateway
from gateway.config import Config
from gateway.db.migrate import alembic_config, migrate
from gateway.services.operations import retention
from gateway.services.runtime import Gateway
from gateway.services.webhooks import drain, replay
from gateway.services.webhooks.inbox import Inbox
from gateway.services.webhooks.replay import Selection
from handlers import HANDLERS
from tests.support.recorded_events import payload
from tests.support.stripe_events import signature

PAGE = Path(__file__).parents[3] / "docs/performance.md"
NAME = "partitioned"


@pytest.fixture
def gateway(config: Config) -> Iterator[Gateway]:
    """Build a gateway on its own migrated database, because the test partitions the inbox."""
    with psycopg.connect(config.database_url, autocommit=True) as connection:
        own = f"{connection.info.dbname}_{NAME}"
        connection.execute(f"CREATE DATABASE {own}")
        built = build_gateway(replace(config, database_url=config.database_url.replace(connection.info.dbname, own)))
        migrate(built.database)
        with closing(built.database):
            yield built
        connection.execute(f"DROP DATABASE {own}")


def receive(inbox: Inbox, event_id: str) -> None:
    body = json.dumps(payload("customer.updated") | {"id": event_id})
    inbox.commit(inbox.add(body.encode(), signature(body)))


def test_partitioned_inbox_works_as_before(gateway: Gateway) -> None:
    [sql] = re.findall(r"```sql\n(BEGIN.*?)```", PAGE.read_text(), re.DOTALL)
    with (
        closing(Inbox(gateway, HANDLERS)) as inbox,
        gateway.database.connect() as connection,
    ):  # a web process keeps its connection
        receive(inbox, "evt_before")
        connection.execute(sql)
        for event_id in ("evt_before", "evt_after", "evt_after"):
            receive(inbox, event_id)
    assert drain.drain_inbox(gateway, HANDLERS) == 2
    found = replay.find_events(gateway, Selection(), 10)
    assert [(each.id, each.state) for each in found] == [("evt_after", "done"), ("evt_before", "done")]

    later = replace(gateway, clock=lambda: found[0].received_at + retention.PAYLOADS_KEPT * 2)
    retention.prune(later)
    assert {each.payload for each in (replay.get_event(gateway, each.id) for each in found)} == {None}
    with gateway.database.engine.begin() as connection:
        assert connection.scalar(text("SELECT count(*) FROM pg_inherits")) > 0
        command.check(alembic_config(connection))  # models and tables still agree
