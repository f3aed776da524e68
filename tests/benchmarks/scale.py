"""What one event, one scrape, one look costs with a thousand stored events and with ten million.

The inbox and the drain run in this process, on the real database with durable commits. Each statement that was
executed is explained afterwards: one that reads a big table from end to end is named.
"""

import statistics
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from typing import Any

import click
import psycopg
from sqlalchemy import event

from gateway.app import build_gateway
from gateway.config import Config
from gateway.db.migrate import is_migrated
from gateway.endpoints.metrics import gauges
from gateway.services.operations.retention import BATCH, prune
from gateway.services.reconciliation import drift_phases
from gateway.services.runtime import Caller, Gateway
from gateway.services.subscription.plan_details import plan_details
from gateway.services.webhooks import replay as stored
from gateway.services.webhooks.drain import drain_batch
from gateway.services.webhooks.endpoint_check import last_check
from gateway.services.webhooks.inbox import Inbox
from gateway.services.webhooks.replay import Selection
from handlers import HANDLERS
from tests.benchmarks import events, filled
from tests.benchmarks.rig import SECRET, rig

EVENTS = 2_000
"""Stored and worked off at each size."""
LOOKS = 5
BIG = "SELECT relname FROM pg_class WHERE relkind = 'r' AND reltuples >= 10000"

Figures = dict[str, float]
"""What was measured -> milliseconds."""


class Statements:
    """What was executed, so that PostgreSQL can be asked how."""

    def __init__(self, gateway: Gateway) -> None:
        self._seen: dict[str, Any] = {}
        event.listen(gateway.database.engine, "before_cursor_execute", self._note)

    def _note(self, _connection: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        if statement.lstrip().upper().startswith(("SELECT", "UPDATE", "DELETE", "INSERT")):
            self._seen[statement] = parameters[0] if isinstance(parameters, list) else parameters

    def scans(self, connection: psycopg.Connection) -> Iterator[str]:
        """The statements that read a big table from end to end."""
        big = {name for (name,) in connection.execute(BIG)}
        for statement, parameters in self._seen.items():
            row = connection.execute(f"EXPLAIN (FORMAT JSON) {statement}", parameters).fetchone()
            assert row is not None
            if table := read_from_end_to_end(row[0][0]["Plan"], big):
                yield f"{table}: {' '.join(statement.split())[-300:]}"


def read_from_end_to_end(plan: dict[str, Any], big: Collection[str], *, limited: bool = False) -> str | None:
    """The big table of which a plan reads every row; an ordered scan below a limit stops before."""
    limited = limited or plan["Node Type"] == "Limit"
    if plan.get("Relation Name") in big:
        ordered = "Index Name" in plan
        if plan["Node Type"] == "Seq Scan" or (ordered and "Index Cond" not in plan and not limited):
            return str(plan["Relation Name"])
    below = (read_from_end_to_end(each, big, limited=limited) for each in plan.get("Plans", ()))
    return next(filter(None, below), None)


def timed(action: Callable[[], object], times: int = LOOKS) -> float:
    """Milliseconds, the median of several times."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        action()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken) * 1000


def acknowledged_and_drained(gateway: Gateway, organizations: int) -> Figures:
    """One event at a time into the inbox, then all through the drain."""
    heads = [delivery.partition(b"\r\n\r\n") for delivery in events.requests(EVENTS, organizations)]
    deliveries = iter([(body, head.decode().partition("Stripe-Signature: ")[2].split()[0]) for head, _, body in heads])
    with closing(Inbox(gateway, HANDLERS)) as inbox:
        acknowledged = timed(lambda: inbox.receive(*next(deliveries)), EVENTS)
    batches = []
    while True:
        began = time.perf_counter()
        if not (done := drain_batch(gateway, HANDLERS)):
            break
        batches.append((time.perf_counter() - began) / done * 1000)
    return {"acknowledge an event": acknowledged, "drain an event": statistics.median(batches)}


def looked_at(gateway: Gateway, organizations: int) -> Figures:
    """What people, Prometheus, the Billing page and reconciliation ask."""
    since = gateway.clock() - timedelta(hours=2)
    selections = {
        "": Selection(),
        " --state dead": Selection(states=("dead",)),
        " --state failed": Selection(states=("failed",)),
        " --type invoice.*": Selection(types=("invoice.*",)),
        " --type of which there is none": Selection(types=("customer.deleted",)),
        " --object sub_7": Selection(object_id="sub_7"),
        " --since 2h": Selection(since=since),
    }
    caller = Caller(organization_id=f"org_{organizations // 2}", actor="somebody")
    middle = f"org_{organizations // 2}"
    return {
        **{f"events list{name}": timed(lambda: stored.find(gateway, which, 50)) for name, which in selections.items()},  # noqa: B023 - called at once
        "metrics": timed(lambda: list(gauges(gateway))),
        "readiness": timed(lambda: (is_migrated(gateway.database), last_check(gateway))),
        "GET /v1/subscription": timed(lambda: plan_details(gateway, caller)),
        "drift: 100 of the plan table": timed(lambda: drift_phases.plan_table(gateway, middle, none_unseen)),
        "drift: 100 unlisted": timed(lambda: drift_phases.unlisted_subscriptions(gateway, "sub_5", none_unseen)),
        "drift: 100 customers": timed(lambda: drift_phases.unlisted_customers(gateway, "cus_5", none_unseen)),
    }


def none_unseen(*_: object) -> set[str]:
    """Everything was in Stripe's lists."""
    return set()


def pruned(gateway: Gateway, rows: int) -> Figures:
    """Retention, as the hourly job does it."""
    batches = max(1, 2 * min(rows // 10, filled.PRUNABLE) / BATCH)
    return {"prune 1,000": timed(lambda: prune(gateway), 1) / batches}


@contextmanager
def gateway_on(url: str) -> Iterator[Gateway]:
    """The parts of a process."""
    config = Config(
        database_url=url,
        stripe_secret_key="sk_test_benchmark",
        stripe_webhook_secrets=(SECRET,),
        jwt_development_secret="a secret of this benchmark alone, no other",
    )
    gateway = build_gateway(config)
    with closing(gateway.database):
        yield gateway


def report(columns: dict[int, Figures]) -> None:
    """The table."""
    click.echo(f"{'milliseconds (medians)':<44}" + "".join(f"{rows:>14,}" for rows in columns))
    for name in next(iter(columns.values())):
        click.echo(f"{name:<44}" + "".join(f"{figures[name]:>14,.2f}" for figures in columns.values()))


@click.command()
@click.option("--rows", multiple=True, type=int, default=(1_000, 100_000, 1_000_000), show_default=True)
@click.option("--organizations", default=100_000, show_default=True)
def main(rows: tuple[int, ...], organizations: int) -> None:
    """Fill, measure, explain; sizes one after the other."""
    click.echo(f"Stored events, with {organizations:,} organizations")
    columns: dict[int, Figures] = {}
    with rig() as parts, parts.connect() as connection, gateway_on(parts.url) as gateway:
        filled.with_organizations(connection, organizations)
        statements = Statements(gateway)
        for size in rows:
            filled.with_events(connection, size, organizations)
            figures = acknowledged_and_drained(gateway, organizations)
            columns[size] = figures | looked_at(gateway, organizations) | pruned(gateway, size)
        report(columns)
        for scan in statements.scans(connection):
            click.echo(f"Reads a table from end to end: {scan}", err=True)


if __name__ == "__main__":
    main()
