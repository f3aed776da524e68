"""Measures how fast the gateway acknowledges webhooks. The yardsticks are a bare view and PostgreSQL alone."""

import statistics
import time
from collections.abc import Sequence

import click
import psycopg

from tests.benchmarks import bare
from tests.benchmarks.load import Result, fire
from tests.benchmarks.rig import Rig, rig
from tests.support import bulk_events

BOUNDS = {1: 0.9, 8: 1.2, 32: 1.5}
CONNECTIONS = tuple(BOUNDS)
COUNT, RUNS = 3_000, 9  # with so few requests, the p99 varies by a fifth from run to run
ORGANIZATIONS = 1_000


def inserts(connection: psycopg.Connection, deliveries: Sequence[bytes]) -> float:
    """Return the durable single-row inserts per second over one connection."""
    bodies = [delivery.partition(b"\r\n\r\n")[2] for delivery in deliveries]
    began = time.perf_counter()
    for number, body in enumerate(bodies):
        connection.execute(bare.INSERT, (f"alone_{number}", "t", "o", number, "v", False, body))
    return len(bodies) / (time.perf_counter() - began)


def measure(parts: Rig) -> None:
    """Alternate between the gateway and the bare view, so that both meet the same load on the machine."""
    ours: dict[int, list[Result]] = {connections: [] for connections in CONNECTIONS}
    yardstick: dict[int, list[Result]] = {connections: [] for connections in CONNECTIONS}
    alone = []
    with (
        parts.connect() as connection,
        parts.web("wsgi:app") as gateway,
        parts.web("tests.benchmarks.bare:app") as flask,
    ):
        for _ in range(RUNS):
            connection.execute("TRUNCATE bare_events, webhook_events")
            alone.append(inserts(connection, bulk_events.requests(COUNT, ORGANIZATIONS)))
            for connections in CONNECTIONS:
                yardstick[connections].append(fire(flask, bulk_events.requests(COUNT, ORGANIZATIONS), connections))
                ours[connections].append(fire(gateway, bulk_events.requests(COUNT, ORGANIZATIONS), connections))
    click.echo(f"PostgreSQL alone, one connection: {statistics.median(alone):,.0f} inserts/s")
    for connections in CONNECTIONS:
        report(connections, ours[connections], yardstick[connections])


def report(connections: int, ours: list[Result], yardstick: list[Result]) -> None:
    """Print one line with the rates, the p99 and the medians of their ratios in each run."""
    rate, bare_rate = (statistics.median(each.rate for each in runs) for runs in (ours, yardstick))
    p99, bare_p99 = (statistics.median(each.p99 for each in runs) for runs in (ours, yardstick))
    share = statistics.median(mine.rate / other.rate for mine, other in zip(ours, yardstick, strict=True))
    slower = statistics.median(mine.p99 / other.p99 for mine, other in zip(ours, yardstick, strict=True))
    click.echo(
        f"{connections:>3} connections: {rate:6,.0f}/s, p99 {p99 * 1000:5.1f} ms; bare view {bare_rate:6,.0f}/s, "
        f"p99 {bare_p99 * 1000:5.1f} ms; rate x{share:.2f} (at least {BOUNDS[connections]:.2f}), "
        f"p99 x{slower:.2f} (at most 1.30)"
    )


def main() -> None:
    """Run the benchmark."""
    click.echo(f"Acknowledged webhooks of {bulk_events.SIZE:,} bytes, medians of {RUNS} runs of {COUNT:,}")
    with rig() as parts:
        with parts.connect() as connection:
            connection.execute(bare.TABLE)
        measure(parts)


if __name__ == "__main__":
    main()
