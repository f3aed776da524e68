"""Measures throughput and latency from a delivery to the plan table, with web and worker on the same cores."""

import statistics
import threading
import time

import click
import psycopg

from tests.benchmarks.load import fire
from tests.benchmarks.rig import Rig, rig
from tests.support import bulk_events
from tests.support.wait import eventually

SECONDS = 60
LOADS: tuple[tuple[int, int | None], ...] = ((8, None), (32, 1_650))
"""Connections, and deliveries per second. None sends each delivery as soon as the last one is acknowledged."""
SLICE = 3_000
"""The number of deliveries signed together. A signature is valid for only five minutes."""
ORGANIZATIONS = 1_000
PACE, PACED_SECONDS = 50, 20
POLL_INTERVAL = 0.004
DRAIN_TIMEOUT = 600  # seconds
DONE = "SELECT count(*) FROM webhook_events WHERE state = 'done'"
PENDING = "SELECT count(*) FROM webhook_events WHERE state IN ('pending', 'failed')"


def sustained(parts: Rig, port: int, connections: int, rate: int | None) -> None:
    """Fire for ``SECONDS``, at most ``rate`` a second, then wait until the last event is merged."""
    with parts.connect() as connection:
        settle(connection)
        # In an older inbox, autovacuum has already done this.
        connection.execute("VACUUM (ANALYZE) webhook_events")
        before = (connection.execute(DONE).fetchone() or [0])[0]
        sent, acknowledging, backlog = 0, 0.0, []
        began = time.perf_counter()
        while (spent := time.perf_counter() - began) < SECONDS:
            result = fire(port, bulk_events.requests(SLICE, ORGANIZATIONS), connections, rate)
            sent, acknowledging = sent + SLICE, acknowledging + result.seconds
            backlog.append(int((connection.execute(PENDING).fetchone() or [0])[0]))
        settle(connection)
        merged = time.perf_counter() - began
        row = connection.execute(DONE).fetchone()
    assert row == (before + sent,), "the drain must merge every acknowledged event"
    # The merge rate covers the whole time, which includes signing the load on the same cores.
    click.echo(
        f"{connections:2} connections, {sent:,} events in {spent:.0f} s: {sent / acknowledging:,.0f}/s acknowledged, "
        f"{sent / merged:,.0f}/s merged (at least 1,500); backlog at most {max(backlog):,}, "
        f"drained {merged - spent:.1f} s after the last"
    )


def settle(connection: psycopg.Connection) -> None:
    """Wait until the drain has merged all events."""
    eventually(lambda: connection.execute(PENDING).fetchone() == (0,), DRAIN_TIMEOUT, interval=0.05)


def freshness(parts: Rig, port: int) -> None:
    """Print the time from acknowledgement to committed merge, at ``PACE`` events per second."""
    deliveries = bulk_events.requests(PACE * PACED_SECONDS, ORGANIZATIONS)
    ids = [bulk_events.id_of(delivery) for delivery in deliveries]
    merged_at: dict[str, float] = {}
    stop = threading.Event()

    def watch() -> None:
        with parts.connect() as connection:
            while not stop.wait(POLL_INTERVAL):
                polled_at = time.perf_counter()
                outstanding = [event_id for event_id in ids if event_id not in merged_at][:PACE]
                merged = "SELECT id FROM webhook_events WHERE state = 'done' AND id = ANY(%s)"
                for (event_id,) in connection.execute(merged, (outstanding,)):
                    merged_at[event_id] = polled_at

    with parts.connect() as connection:
        connection.execute("TRUNCATE webhook_events")
    watcher = threading.Thread(target=watch)
    watcher.start()
    result = fire(port, deliveries, LOADS[0][0], rate=PACE)
    eventually(lambda: len(merged_at) == len(ids), DRAIN_TIMEOUT, interval=0.05)
    stop.set()
    watcher.join()
    lags = [merged_at[event_id] - answered for event_id, answered in zip(ids, result.answered_at, strict=True)]
    median, p99 = statistics.median(lags), statistics.quantiles(lags, n=100)[98]
    click.echo(
        f"at {PACE}/s: merged {median * 1000:.0f} ms after the acknowledgement (median), p99 {p99 * 1000:.0f} ms "
        f"(at most 100), never later than {max(lags) * 1000:.0f} ms"
    )


def main() -> None:
    """Run the benchmark."""
    with rig() as parts:
        with parts.connect() as connection:
            bulk_events.enrol(connection, ORGANIZATIONS)
        with parts.web("wsgi:app") as port, parts.worker():
            fire(
                port, bulk_events.requests(SLICE, ORGANIZATIONS), LOADS[0][0]
            )  # warm up: store every organization's first state
            freshness(parts, port)
            for connections, rate in LOADS:
                sustained(parts, port, connections, rate)


if __name__ == "__main__":
    main()
