"""Compares a benchmark with the same one of another working tree, such as one of an earlier commit.

Both run in turn, so that they meet the same load on the machine. Each pair of runs gives a ratio.
"""

import re
import statistics
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import click

from tests.support.processes import settings

HERE = Path(__file__).parents[2]
FIGURES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "changes": {"own time of all changes": r"all changes: own time +([\d.]+) ms"},
        "merge": {"processor time of a merged event": r"together ([\d.]+) µs"},
    }
)


def run(benchmark: str, tree: Path) -> list[float]:
    """Run a benchmark of a working tree, and return its figures in the order of ``FIGURES``."""
    command = [sys.executable, "-m", f"tests.benchmarks.{benchmark}"]
    environment = settings({"PYTHONPATH": str(tree)})
    printed = subprocess.run(command, cwd=tree, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout
    found = [re.search(pattern, printed) for pattern in FIGURES[benchmark].values()]
    return [float(each[1]) for each in found if each is not None]


@click.command()
@click.argument("benchmark", type=click.Choice(list(FIGURES)))
@click.argument("base", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--runs", default=5, show_default=True)
def main(benchmark: str, base: Path, runs: int) -> None:
    """Print how the figures of this tree relate to those of the tree BASE."""
    ratios: list[list[float]] = [[] for _ in FIGURES[benchmark]]
    for _ in range(runs):
        theirs, ours = run(benchmark, base), run(benchmark, HERE)
        for kept, new, old in zip(ratios, ours, theirs, strict=True):
            kept.append(new / old)
    for name, kept in zip(FIGURES[benchmark], ratios, strict=True):
        each = ", ".join(f"{ratio:.2f}" for ratio in sorted(kept))
        click.echo(f"{name}: x{statistics.median(kept):.2f} of {base} ({each})")


if __name__ == "__main__":
    main()
