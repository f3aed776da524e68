"""How much memory each web process takes under load, and whether it stays so: a sample after each slice of events.

RSS counts shared pages in every process, PSS shares them out (read from smaps; Linux only).
"""

import statistics
from collections.abc import Sequence

import click
import psutil

from tests.benchmarks.load import fire
from tests.benchmarks.rig import Rig, rig
from tests.support import bulk_events

SLICE = 5_000
"""Deliveries signed at a time: a signature is good for five minutes only."""
ORGANIZATIONS = 10_000
MIB = 1 << 20
BOUND = 120
WARM_UP = 0.2
"""The share of the events after which the slope is taken: caches and arenas have filled by then."""

Sample = tuple[int, Sequence[float], Sequence[float]]
"""Events so far; RSS and PSS of each web process, in MiB."""


def sample(sent: int, port: int) -> Sample:
    """The processes that listen on ``port``: gunicorn's workers, and not their parent."""
    parents = [each for each in psutil.Process().children() if f"--bind=127.0.0.1:{port}" in each.cmdline()]
    memory = [worker.memory_full_info() for parent in parents for worker in parent.children()]
    return sent, [each.rss / MIB for each in memory], [each.pss / MIB for each in memory]


def loaded(parts: Rig, count: int, connections: Sequence[int], every: int) -> list[Sample]:
    """Fire ``count`` events; what was stored is removed now and then, it is not what is measured."""
    samples: list[Sample] = []
    with parts.connect() as connection, parts.web("wsgi:app") as port:
        samples.append(sample(0, port))
        for number in range(count // SLICE):
            fire(port, bulk_events.requests(SLICE, ORGANIZATIONS), connections[number % len(connections)])
            sent = (number + 1) * SLICE
            if sent % every == 0:
                samples.append(sample(sent, port))
                click.echo(f"{sent:>12,} events: " + in_words(samples[-1]))
                connection.execute("TRUNCATE webhook_events")
    return samples


def in_words(taken: Sample) -> str:
    """One line."""
    _, rss, pss = taken
    return "  ".join(f"RSS {each:.1f}, PSS {share:.1f} MiB" for each, share in zip(rss, pss, strict=True))


def slope(samples: Sequence[Sample]) -> float:
    """MiB that a process grows by in a million events, once it is warm: the median of all pairs of samples."""
    warm = [(sent, max(rss)) for sent, rss, _ in samples if sent >= samples[-1][0] * WARM_UP]
    pairs = ((a, b) for i, a in enumerate(warm) for b in warm[i + 1 :])
    return statistics.median((b[1] - a[1]) / (b[0] - a[0]) for a, b in pairs) * 1_000_000


@click.command()
@click.option("--events", "count", default=50_000, show_default=True)
@click.option("--every", default=5_000, show_default=True, help="Events between two samples.")
def main(count: int, every: int) -> None:
    """Load, sample, and print the slope."""
    with rig() as parts:
        samples = loaded(parts, count, (8, 16, 32), every)
    click.echo("before any: " + in_words(samples[0]))
    most = max(max(rss) for _, rss, _ in samples)
    click.echo(f"at most {most:.1f} MiB a web process (under {BOUND}); {slope(samples):+.2f} MiB in a million events")


if __name__ == "__main__":
    main()
