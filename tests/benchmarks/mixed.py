"""Measures mixed events side by side, and the processor time of each event by process.

The gateway acknowledges and merges them. The yardsticks are stripe/sync-engine, which stores them before it answers, a
bare Flask view with one INSERT, and PostgreSQL alone, with a commit for each event and for a group of them.
"""

import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

import click
import psutil
import psycopg

from tests.benchmarks import bare
from tests.benchmarks.load import fire
from tests.benchmarks.merge import count_pending, find_server, measure_cpu
from tests.benchmarks.rig import Rig, find_web, rig
from tests.benchmarks.sync_engine import sync_engine
from tests.support import bulk_events, mixed_events
from tests.support.wait import eventually

ROUNDS, SLICE = 3, 6_000  # some seconds a round, so that the start of a drain counts little
CONNECTIONS = (8, 32)
ORGANIZATIONS = (1_000, 100_000)
LONGEST, POLL_INTERVAL = 120, 0.01  # seconds
ALONE = "CREATE TABLE alone (id uuid PRIMARY KEY, payload bytea)"
INSERT = """INSERT INTO alone
    SELECT gen_random_uuid(), decode(repeat('00', {size}), 'hex') FROM generate_series(1, {rows});"""
# A changed plan is looked at again after some seconds, with calls to Stripe, which does not answer here. The worker
# would try for ever, and disturb the others.
FORGET_LATER_WORK = "DELETE FROM procrastinate_jobs WHERE scheduled_at > now(); DELETE FROM spend_checks"
CLIENTS, GROUP = 8, 10  # connections of pgbench, and rows of a commit


class Sample(NamedTuple):
    """One round: events per second, and microseconds of processor time for each event by process."""

    rate: float
    cpu: Mapping[str, float]


@dataclass
class Contender:
    """A system that is measured, and its processes by name."""

    name: str
    run: Callable[[Sequence[bytes], int], object]
    """Takes the deliveries by a number of connections, and returns when all are stored or merged."""
    processes: Mapping[str, psutil.Process]
    samples: dict[int, list[Sample]] = field(default_factory=lambda: {each: [] for each in CONNECTIONS})

    def measure_cpu(self) -> dict[str, float]:
        """Return the processor seconds of each process and its children so far."""
        return {name: measure_cpu([each, *each.children()]) for name, each in self.processes.items()}

    def measure(self, deliveries: Sequence[bytes], connections: int) -> None:
        """Take one sample."""
        before, began = self.measure_cpu(), time.perf_counter()
        self.run(deliveries, connections)
        seconds, after = time.perf_counter() - began, self.measure_cpu()
        cpu = {name: (after[name] - before[name]) / len(deliveries) * 1e6 for name in after}
        self.samples[connections].append(Sample(len(deliveries) / seconds, cpu))

    def report(self, ours: "Contender") -> None:
        """Print the medians, and how many times as fast as this one the gateway is."""
        for connections, samples in self.samples.items():
            rate = statistics.median(each.rate for each in samples)
            pairs = zip(ours.samples[connections], samples, strict=True)
            share = statistics.median(our.rate / each.rate for our, each in pairs)
            cpu = ", ".join(
                f"{name} {statistics.median(each.cpu[name] for each in samples):.0f}" for name in samples[0].cpu
            )
            click.echo(
                f"{self.name:>35}, {connections:>2} connections: {rate:6,.0f}/s; gateway x{share:.2f}; "
                f"µs of an event: {cpu}"
            )


def insert_alone(parts: Rig, server: psutil.Process, rows: int) -> Callable[[Sequence[bytes], int], None]:
    """Return a run in which pgbench inserts as many rows, with ``rows`` in each transaction.

    It has the same clients for any number of connections, because PostgreSQL allows a hundred connections in all.
    """
    pgbench = Path(server.exe()).with_name("pgbench")
    script = parts.logs / f"insert_{rows}.sql"
    script.write_text(INSERT.format(size=bulk_events.SIZE, rows=rows))

    def run(deliveries: Sequence[bytes], _connections: int) -> None:
        count = len(deliveries) // CLIENTS // rows
        command: list[str | Path] = [
            pgbench,
            "-n",
            "-M",
            "prepared",
            "-f",
            script,
            "-c",
            str(CLIENTS),
            "-t",
            str(count),
            parts.url,
        ]
        subprocess.run(command, check=True, capture_output=True)

    return run


@contextmanager
def contenders(parts: Rig, connection: psycopg.Connection) -> Iterator[list[Contender]]:
    """Start all contenders, the gateway first."""
    server = find_server(parts)

    def merge_all(deliveries: Sequence[bytes], connections: int) -> None:
        fire(gateway, deliveries, connections)
        eventually(lambda: count_pending(connection) == 0, LONGEST, POLL_INTERVAL)

    with (
        parts.web("wsgi:app") as gateway,
        parts.web("tests.benchmarks.bare:app") as flask,
        parts.worker() as worker,
        sync_engine(parts) as engine,
    ):
        database = {"PostgreSQL": server}
        ours = {"web": find_web(gateway), "worker": psutil.Process(worker.pid), **database}
        found = [
            Contender("gateway, acknowledged and merged", merge_all, ours),
            Contender("bare view with one INSERT", partial(fire, flask), {"web": find_web(flask), **database}),
            Contender("PostgreSQL, a commit for each", insert_alone(parts, server, 1), database),
            Contender("PostgreSQL, a commit for ten", insert_alone(parts, server, GROUP), database),
        ]
        if engine is not None:
            port, node = engine
            found.append(Contender("stripe/sync-engine", partial(fire, port), {"node": node, **database}))
        else:
            click.echo("npm is missing or cannot install stripe/sync-engine, so it is not measured.")
        yield found


def main() -> None:
    """Run the benchmark."""
    for organizations in ORGANIZATIONS:
        click.echo(f"mixed events of {organizations:,} organizations, medians of {ROUNDS} rounds of {SLICE:,}:")
        with rig() as parts, parts.connect() as connection:
            connection.execute(f"{bare.TABLE}; {ALONE}")
            bulk_events.enrol(connection, organizations)
            mixed_events.sell_plan(connection)
            connection.execute("VACUUM (ANALYZE)")
            with contenders(parts, connection) as all_of_them:
                for each in all_of_them:  # warm up
                    each.run(mixed_events.requests(SLICE, organizations), max(CONNECTIONS))
                for _ in range(ROUNDS):
                    for connections in CONNECTIONS:
                        deliveries = mixed_events.requests(SLICE, organizations)
                        for each in all_of_them:
                            each.measure(deliveries, connections)
                            connection.execute(FORGET_LATER_WORK)
            for each in all_of_them:
                each.report(all_of_them[0])


if __name__ == "__main__":
    main()
