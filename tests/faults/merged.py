"""A burst with one event for each of many organizations, and what must have become of it."""

import random
import signal
import time
from collections.abc import Sequence

import orjson
import psycopg

from gateway.services.webhooks.inbox import COLUMNS, build_row
from tests.support import bulk_events
from tests.support.deployment import Deployment
from tests.support.processes import Process
from tests.support.wait import eventually

HALF_DONE = """
    SELECT count(*) FROM webhook_events AS event LEFT JOIN plan_history ON cause = event.id
    WHERE event.id LIKE 'evt_1Bench%%' AND (event.state = 'done') <> (cause IS NOT NULL)
"""

LOCKED = """
    SELECT (SELECT count(*) FROM webhook_events WHERE state = 'pending')
         - (SELECT count(*) FROM (SELECT FROM webhook_events WHERE state = 'pending' FOR UPDATE SKIP LOCKED) AS free)
"""

AT_WORK = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
    AND state = 'active' AND wait_event_type IS DISTINCT FROM 'Client'
"""


def one_event_each(stage: Deployment, organizations: int) -> Sequence[bytes]:
    """Organizations that are on no plan yet, and for each a delivery that puts it on Plus, in a quantity of its own."""
    known = orjson.loads(bulk_events.RECORDED.read_bytes())["data"]["object"]["items"]["data"][0]["price"]["product"]
    stage.rows("UPDATE plans SET product_id = %s WHERE key = 'plus'", known)
    stage.rows(
        "INSERT INTO organizations (id, stripe_customer_id, created_at)"
        " SELECT 'org_' || number, 'cus_' || number, now() FROM generate_series(0, %s) AS number",
        organizations - 1,
    )
    return bulk_events.requests(organizations, organizations)


def store(stage: Deployment, deliveries: Sequence[bytes]) -> None:
    """Put events into the inbox as ingress does, without any wake-up."""
    bodies = [delivery.partition(b"\r\n\r\n")[2] for delivery in deliveries]
    rows = [build_row(stage.gateway, body, stage.gateway.clock()) for body in bodies]
    values = ", ".join(["%s"] * len(COLUMNS))
    insert = f"INSERT INTO webhook_events ({', '.join(COLUMNS)}) VALUES ({values})"  # noqa: S608 - of constants alone
    with psycopg.connect(stage.environment["GATEWAY_DATABASE_URL"]) as connection, connection.cursor() as cursor:
        cursor.executemany(insert.encode(), rows)


def pending(stage: Deployment) -> int:
    """How many events are still to be worked off."""
    return stage.number("SELECT count(*) FROM webhook_events WHERE state IN ('pending', 'failed')")


def locked(stage: Deployment) -> int:
    """How many pending events some transaction holds just now: a drain is in the midst of them."""
    return stage.number(LOCKED)


def at_work(stage: Deployment) -> int:
    """How many statements the database works on just now, but for those whose client does not take the answer."""
    return stage.number(AT_WORK)


def freeze_in_mid_drain(stage: Deployment, worker: Process) -> None:
    """Stop the worker's process (it can go on) at any moment at which a drain's transaction is open."""
    while True:
        eventually(lambda: locked(stage) > 0)
        some_moment()
        worker.send(signal.SIGSTOP)
        if locked(stage) > 0:
            return
        worker.send(signal.SIGCONT)


def some_moment() -> None:
    """Any moment from now on."""
    time.sleep(random.uniform(0, 0.05))  # noqa: S311 - no secret


def acknowledged_but_lost(stage: Deployment, acknowledged: set[str]) -> set[str]:
    """Events that were answered 200 and are not in the inbox."""
    return acknowledged - {event_id for (event_id,) in stage.rows("SELECT id FROM webhook_events")}


def half_done(stage: Deployment) -> int:
    """How many events are merged and not marked, or marked and not merged: there must be none at any moment.

    One statement, so one moment.
    """
    return stage.number(HALF_DONE)


def assert_merged_once(stage: Deployment, deliveries: Sequence[bytes]) -> None:
    """Every event is done, in the plan table, and in the history once."""
    told = {}
    for delivery in deliveries:
        event = orjson.loads(delivery.partition(b"\r\n\r\n")[2])
        told[event["data"]["object"]["customer"]] = (event["id"], event["data"]["object"]["quantity"])
    ended = "SELECT state, attempts, count(*) FROM webhook_events WHERE id LIKE 'evt_1Bench%%' GROUP BY state, attempts"
    assert stage.rows(ended) == [("done", 0, len(deliveries))]
    merged = stage.rows(
        "SELECT stripe_customer_id, cause, (after ->> 'quantity')::int, quantity, plan, plan_history.version"
        " FROM plan_history JOIN organizations ON organizations.id = plan_history.organization_id"
        " JOIN organization_plans ON organization_plans.organization_id = organizations.id"
    )
    assert sorted(merged) == sorted(
        (customer, event_id, quantity, quantity, "plus", 1) for customer, (event_id, quantity) in told.items()
    )
