"""Compares web and worker with those of another working tree, such as one of an earlier commit.

Each tree has a PostgreSQL of its own. They get the same deliveries in turn, so that they meet the same load on the
machine. Each pair of turns gives a ratio.
"""

import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import psutil

from gateway.demo.postgres import embedded_postgres
from tests.benchmarks.load import fire
from tests.benchmarks.merge import count_pending, find_server, measure_cpu
from tests.benchmarks.rig import Rig
from tests.support import bulk_events
from tests.support.processes import Process, await_port, free_port, running, settings
from tests.support.wait import eventually

HERE = Path(__file__).parents[2]
CONNECTIONS = (1, 8, 32)
COUNT, PACE, PACED_SECONDS = 1_000, 50, 5
ORGANIZATIONS = 1_000
LONGEST = 120  # seconds

Figures = Mapping[str, float]


@dataclass
class Version:
    """A working tree on its own server, with its web process."""

    tree: Path
    parts: Rig
    port: int
    web: Process

    @contextmanager
    def worker(self) -> Iterator[Process]:
        """Run the tree's worker until it has merged everything that waits, and for the length of the block."""
        with run(self.tree, self.parts, "worker") as process:
            self.await_merged()
            yield process

    def await_merged(self) -> None:
        """Wait until every event is merged."""
        with self.parts.connect() as connection:
            eventually(lambda: count_pending(connection) == 0, LONGEST)

    def acknowledge(self, connections: int) -> Figures:
        """Fire deliveries while no worker runs."""
        deliveries = bulk_events.requests(COUNT, ORGANIZATIONS)
        before = spent(self.web)
        result = fire(self.port, deliveries, connections)
        return {
            f"rate of acknowledgements, {connections} connections": result.rate,
            f"their p99, {connections} connections": result.p99,
            f"processor time of web for them, {connections} connections": spent(self.web) - before,
        }

    def merge(self, worker: Process, name: str, count: int, rate: float | None) -> Figures:
        """Fire deliveries, and wait until the worker has merged them."""
        deliveries = bulk_events.requests(count, ORGANIZATIONS)
        server = find_server(self.parts)
        before = spent(self.web), spent(worker), measure_cpu([server, *server.children()])
        fire(self.port, deliveries, CONNECTIONS[1], rate)
        self.await_merged()
        after = spent(self.web), spent(worker), measure_cpu([server, *server.children()])
        web, merging, storing = (new - old for new, old in zip(after, before, strict=True))
        return {
            f"processor time of web, {name}": web,
            f"processor time of the worker, {name}": merging,
            f"both, {name}": web + merging,
            f"processor time of PostgreSQL, {name}": storing,
        }


def spent(process: Process) -> float:
    """Return the processor seconds of a process and its children."""
    first = psutil.Process(process.pid)
    return measure_cpu([first, *first.children(recursive=True)])


@contextmanager
def run(tree: Path, parts: Rig, *arguments: str) -> Iterator[Process]:
    """Run ``gateway ARGUMENTS`` of a tree."""
    environment = {**parts.environment, "PYTHONPATH": str(tree)}
    with running(["-m", "gateway", *arguments], environment, parts.logs / f"{arguments[0]}.log", tree) as process:
        yield process


@contextmanager
def served(tree: Path) -> Iterator[Version]:
    """Run a tree's web process on a new database."""
    with TemporaryDirectory(prefix="gateway-bench-") as directory, embedded_postgres(Path(directory) / "pg") as url:
        parts, port = Rig(url, Path(directory)), free_port()
        environment = settings({**parts.environment, "PYTHONPATH": str(tree)})
        subprocess.run([sys.executable, "-m", "gateway", "migrate"], cwd=tree, env=environment, check=True)
        with parts.connect() as connection:
            bulk_events.enrol(connection, ORGANIZATIONS)
        with run(tree, parts, "serve", f"--bind=127.0.0.1:{port}") as web:
            await_port(port, web)
            yield Version(tree, parts, port, web)


def in_turn(number: int, theirs: Callable[[], Figures], ours: Callable[[], Figures]) -> tuple[Figures, Figures]:
    """Return the figures of both. Every other time ours come first, because the first turn leaves work behind."""
    if number % 2:
        return theirs(), ours()
    later = ours()
    return theirs(), later


def measure(theirs: Version, ours: Version, runs: int) -> Iterator[tuple[Figures, Figures]]:
    """Yield the figures of each pair of turns. The first pair of each kind only warms both up."""
    for number in range(runs + 1):
        for each in CONNECTIONS:
            pair = in_turn(number, partial(theirs.acknowledge, each), partial(ours.acknowledge, each))
            if number > 0:
                yield pair
    with theirs.worker() as their_worker, ours.worker() as our_worker:
        for number in range(runs + 1):
            for load in (("unbounded", COUNT, None), (f"{PACE}/s", PACE * PACED_SECONDS, PACE)):
                pair = in_turn(
                    number, partial(theirs.merge, their_worker, *load), partial(ours.merge, our_worker, *load)
                )
                if number > 0:
                    yield pair


def report(pairs: Sequence[tuple[Figures, Figures]]) -> None:
    """Print a line for each figure."""
    for name in dict.fromkeys(chain.from_iterable(ours for _, ours in pairs)):
        ratios = sorted(ours[name] / theirs[name] for theirs, ours in pairs if name in ours)
        both = [statistics.median(each[name] for each in side if name in each) for side in zip(*pairs, strict=True)]
        each = ", ".join(f"{ratio:.2f}" for ratio in ratios)
        click.echo(f"{name}: x{statistics.median(ratios):.2f} ({each}); {both[0]:.4g} before, {both[1]:.4g} now")


@click.command()
@click.argument("base", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--runs", default=6, show_default=True)
def main(base: Path, runs: int) -> None:
    """Print how the figures of this tree relate to those of the tree BASE."""
    with ExitStack() as resources:
        theirs, ours = (resources.enter_context(served(tree)) for tree in (base.resolve(), HERE))
        report(list(measure(theirs, ours, runs)))


if __name__ == "__main__":
    main()
