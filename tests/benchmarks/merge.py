"""Measures how fast the worker merges a full inbox, and the processor time of worker and PostgreSQL for each event."""

import time
from collections.abc import Callable, Iterable, Sequence

import click
import psutil
import psycopg

from tests.benchmarks.load import fire
from tests.benchmarks.rig import Rig, rig
from tests.support import bulk_events, mixed_events
from tests.support.wait import eventually

ORGANIZATIONS, EVENTS, SLICE = 1_000, 18_000, 3_000
CONNECTIONS = 8
POLL_INTERVAL = 0.02
LONGEST = 300  # seconds
PENDING = "SELECT count(*) FROM webhook_events WHERE state IN ('pending', 'failed')"


def count_pending(connection: psycopg.Connection) -> int:
    """Return the number of events that are not merged yet."""
    row = connection.execute(PENDING).fetchone()
    assert row is not None
    return int(row[0])


def find_server(parts: Rig) -> psutil.Process:
    """Return PostgreSQL's first process."""
    return psutil.Process(int((parts.logs / "pg/postmaster.pid").read_text().split()[0]))


def measure_cpu(processes: Iterable[psutil.Process]) -> float:
    """Return the processor seconds of the processes, and of those of their children that have ended."""
    total = 0.0
    for each in processes:
        try:
            total += sum(each.cpu_times()[:4])
        except psutil.NoSuchProcess:  # its parent counts it from now on
            continue
    return total


def drain(parts: Rig, connection: psycopg.Connection) -> None:
    """Start a worker, and print what it takes from its first merge to its last."""
    server = find_server(parts)

    def spent_by_server() -> float:
        return measure_cpu([server, *server.children()])

    with parts.worker() as worker:
        process = psutil.Process(worker.pid)
        eventually(lambda: count_pending(connection) < EVENTS, LONGEST, POLL_INTERVAL)
        began, left = time.perf_counter(), count_pending(connection)
        by_worker, by_server = measure_cpu([process]), spent_by_server()
        eventually(lambda: count_pending(connection) == 0, LONGEST, POLL_INTERVAL)
        seconds = time.perf_counter() - began
        by_worker, by_server = measure_cpu([process]) - by_worker, spent_by_server() - by_server
    click.echo(
        f"{left:,} events merged: {left / seconds:,.0f}/s; processor time of an event: "
        f"worker {by_worker / left * 1e6:.0f} µs, PostgreSQL {by_server / left * 1e6:.0f} µs, "
        f"together {(by_worker + by_server) / left * 1e6:.0f} µs"
    )


def measure(build: Callable[[int, int], Sequence[bytes]], *, sells_plan: bool) -> None:
    """Fill an inbox with the deliveries that ``build`` returns, and measure its merge."""
    with rig() as parts, parts.connect() as connection:
        bulk_events.enrol(connection, ORGANIZATIONS)
        if sells_plan:
            mixed_events.sell_plan(connection)
        with parts.web("wsgi:app") as port:
            fire(port, build(SLICE, ORGANIZATIONS), CONNECTIONS)  # every organization's first state
            with parts.worker():
                eventually(lambda: count_pending(connection) == 0, LONGEST, POLL_INTERVAL)
            for _ in range(EVENTS // SLICE):
                fire(port, build(SLICE, ORGANIZATIONS), CONNECTIONS)
        connection.execute("VACUUM (ANALYZE)")
        drain(parts, connection)


def main() -> None:
    """Run the benchmark."""
    click.echo("changes of subscriptions to something else than a plan:")
    measure(bulk_events.requests, sells_plan=False)
    click.echo("mixed events of subscriptions to a plan and of their invoices:")
    measure(mixed_events.requests, sells_plan=True)


if __name__ == "__main__":
    main()
