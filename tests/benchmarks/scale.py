"""Measures one event, one scrape and one query with a thousand stored events and with ten million.

The inbox and the drain run in this process, on the real database with durable commits. Afterwards, the benchmark
explains each executed statement and prints every statement that scans a big table.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta

import click

from gateway.app import build_gateway
from gateway.config import Config
from gateway.db.revision import is_migrated
from gateway.endpoints.metrics import gauges
from gateway.services.operations.retention import BATCH_SIZE, prune
from gateway.services.reconciliation import drift_phases
from gateway.services.runtime import Caller, Gateway
from gateway.services.subscription.plan_details import load_plan_details
from gateway.services.webhooks.drain import drain_batch
from gateway.services.webhooks.endpoint_check import load_last_check
from gateway.services.webhooks.inbox import Inbox
from gateway.services.webhooks.replay import Selection, find_events
from handlers import HANDLERS
from tests.benchmarks import filled
from tests.benchmarks.rig import rig
from tests.support import bulk_events
from tests.support.bulk_events import SECRET
from tests.support.statements import Statements

EVENTS = 2_000
"""The number of events to store and drain at each size."""
REPEATS = 5

Figures = dict[str, float]
"""Milliseconds by name of the measurement."""


def timed(action: Callable[[], object], times: int = REPEATS) -> float:
    """Return the median time of the action in milliseconds."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        action()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken) * 1000


def measure_events(gateway: Gateway, organizations: int) -> Figures:
    """Store one event at a time, and then drain all events."""
    heads = [delivery.partition(b"\r\n\r\n") for delivery in bulk_events.requests(EVENTS, organizations)]
    deliveries = iter([(body, head.decode().partition("Stripe-Signature: ")[2].split()[0]) for head, _, body in heads])
    with closing(Inbox(gateway, HANDLERS)) as inbox:
        acknowledged = timed(lambda: inbox.commit(inbox.add(*next(deliveries))), EVENTS)
    batches = []
    while True:
        began = time.perf_counter()
        if not (done := drain_batch(gateway, HANDLERS)):
            break
        batches.append((time.perf_counter() - began) / done * 1000)
    return {"acknowledge an event": acknowledged, "drain an event": statistics.median(batches)}


def measure_queries(gateway: Gateway, organizations: int) -> Figures:
    """Measure the queries of operators, Prometheus, the Billing page and reconciliation."""
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
        **{f"events list{name}": timed(lambda: find_events(gateway, which, 50)) for name, which in selections.items()},  # noqa: B023 - called immediately
        "metrics": timed(lambda: list(gauges(gateway))),
        "readiness": timed(lambda: (is_migrated(gateway.database), load_last_check(gateway))),
        "GET /v1/subscription": timed(lambda: load_plan_details(gateway, caller)),
        "drift: 100 of the plan table": timed(lambda: drift_phases.compare_plan_table(gateway, middle, none_unseen)),
        "drift: 100 unlisted": timed(
            lambda: drift_phases.compare_unlisted_subscriptions(gateway, "sub_5", none_unseen)
        ),
        "drift: 100 customers": timed(lambda: drift_phases.compare_unlisted_customers(gateway, "cus_5", none_unseen)),
    }


def none_unseen(*_: object) -> set[str]:
    """Return an empty set, as if every object were in Stripe's lists."""
    return set()


def measure_pruning(gateway: Gateway, rows: int) -> Figures:
    """Measure retention as the hourly job runs it."""
    batches = max(1, 2 * min(rows // 10, filled.PRUNABLE) / BATCH_SIZE)
    return {"prune 1,000": timed(lambda: prune(gateway), 1) / batches}


@contextmanager
def gateway_on(url: str) -> Iterator[Gateway]:
    """Yield the gateway of a process."""
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
    """Print the table."""
    click.echo(f"{'milliseconds (medians)':<44}" + "".join(f"{rows:>14,}" for rows in columns))
    for name in next(iter(columns.values())):
        click.echo(f"{name:<44}" + "".join(f"{figures[name]:>14,.2f}" for figures in columns.values()))


@click.command()
@click.option("--rows", multiple=True, type=int, default=(1_000, 100_000, 1_000_000), show_default=True)
@click.option("--organizations", default=100_000, show_default=True)
def main(rows: tuple[int, ...], organizations: int) -> None:
    """Fill the database and measure at each size, and then explain the statements."""
    click.echo(f"Stored events, with {organizations:,} organizations")
    columns: dict[int, Figures] = {}
    with rig() as parts, parts.connect() as connection, gateway_on(parts.url) as gateway:
        filled.with_organizations(connection, organizations)
        statements = Statements(gateway)
        for size in rows:
            filled.with_events(connection, size, organizations)
            figures = measure_events(gateway, organizations)
            columns[size] = figures | measure_queries(gateway, organizations) | measure_pruning(gateway, size)
        report(columns)
        for scan in statements.scans(connection):
            click.echo(f"Scans a big table: {scan}", err=True)


if __name__ == "__main__":
    main()
