"""Measures the memory of each web process under load, and its growth, with a sample after each slice of events.

RSS counts a shared page in every process. PSS divides it among them. It comes from smaps, so this runs only on Linux.
"""

import os
import statistics
from collections.abc import Sequence

import click

from tests.benchmarks.load import fire
from tests.benchmarks.rig import Rig, find_web, rig
from tests.support import bulk_events

SLICE = 5_000
"""The number of deliveries signed together. A signature is valid for only five minutes."""
ORGANIZATIONS = 10_000
MIB = 1 << 20
BOUND = 90
DEVELOPERS_ONLY = ("rich", "yaml")
"""Packages that structlog and flask-smorest import where they find them. The image has neither."""
WARM_UP = 0.2
"""The share of the events before the slope begins. They fill the caches and arenas."""

Sample = tuple[int, Sequence[float], Sequence[float]]
"""The number of events so far, and the RSS and PSS of each web process in MiB."""


def sample(sent: int, port: int) -> Sample:
    """Take a sample of gunicorn's workers that listen on ``port``, without their parent."""
    memory = [worker.memory_full_info() for worker in find_web(port).children()]
    return sent, [each.rss / MIB for each in memory], [each.pss / MIB for each in memory]


def hide_developers_packages(parts: Rig) -> None:
    """Let the processes run as in the image, without packages that only developers install."""
    hiding = f"import sys\nsys.modules.update(dict.fromkeys({DEVELOPERS_ONLY!r}))\n"
    (parts.logs / "sitecustomize.py").write_text(hiding, encoding="utf-8")
    parts.environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(parts.logs), os.environ.get("PYTHONPATH"))))


def loaded(parts: Rig, count: int, connections: Sequence[int], every: int) -> list[Sample]:
    """Fire ``count`` events and take samples. It empties the inbox after each sample, because only the web counts."""
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
    """Return a line of text."""
    _, rss, pss = taken
    return "  ".join(f"RSS {each:.1f}, PSS {share:.1f} MiB" for each, share in zip(rss, pss, strict=True))


def slope(samples: Sequence[Sample]) -> float:
    """Return the growth of a warm process in MiB per million events, as the median over all pairs of samples."""
    warm = [(sent, max(rss)) for sent, rss, _ in samples if sent >= samples[-1][0] * WARM_UP]
    pairs = ((a, b) for i, a in enumerate(warm) for b in warm[i + 1 :])
    return statistics.median((b[1] - a[1]) / (b[0] - a[0]) for a, b in pairs) * 1_000_000


@click.command()
@click.option("--events", "count", default=50_000, show_default=True)
@click.option("--every", default=5_000, show_default=True, help="The number of events between two samples.")
def main(count: int, every: int) -> None:
    """Load the web processes, take samples and print the slope."""
    with rig() as parts:
        hide_developers_packages(parts)
        samples = loaded(parts, count, (8, 16, 32), every)
    click.echo("before any: " + in_words(samples[0]))
    most = max(max(rss) for _, rss, _ in samples)
    click.echo(f"at most {most:.1f} MiB a web process (under {BOUND}); {slope(samples):+.2f} MiB in a million events")


if __name__ == "__main__":
    main()
