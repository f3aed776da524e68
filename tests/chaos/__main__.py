"""Run all faults under load, check what must hold, and print the table of docs/operations.md."""

import logging
import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from gateway.logging import configure_logging
from tests.chaos.faults import FAULTS, Fault
from tests.chaos.load import EVENTS_PER_SECOND, Load
from tests.chaos.stage import Stage, percentile, staged

PAGE = Path(__file__).parents[2] / "docs/operations.md"
TABLE = re.compile(r"(?<=<!-- make chaos writes this table -->\n).*?(?=\n\n)", re.DOTALL)
HEAD = "| fault | what happens | how long | what to do |\n|---|---|---|---|"
MERGES_GO_ON = 0.5  # seconds at the median, below which a fault does not stop the merges
WARM_UP, REPORT_TIMEOUT = 5, 40  # seconds
LOG_SHOWN = 20_000  # characters of the processes' warnings and errors after a failure
pause = threading.Event().wait


@dataclass(frozen=True)
class Measured:
    """What one fault did."""

    fault: Fault
    lasted: float
    resumed: float
    """Seconds from its end, or from its start, to the next merge."""
    caught_up: float
    """Seconds from its end until nothing waits that arrived before."""
    during: Sequence[float]
    """How long the events that arrived while it lasted waited for their merge."""

    def describe(self) -> str:
        """Return the figures in one line."""
        waits = ", ".join(f"p{each} {percentile(self.during, each):.3f} s" for each in (50, 99))
        times = (
            f"lasted {self.lasted:.0f} s, resumed after {self.resumed:.2f} s, caught up after {self.caught_up:.2f} s"
        )
        return f"{self.fault.name}: {times}; {len(self.during)} events meanwhile, which waited {waits}"

    def row(self) -> str:
        """Return the row of the table."""
        since = "of its start" if self.fault.from_start else "of its end"
        long = f"Merges resume within {max(self.resumed, 0.1):.1f} s {since}."
        arrive = len(self.during) > self.lasted * EVENTS_PER_SECOND / 2  # otherwise only its first moments are seen
        if arrive and (median := percentile(self.during, 50)) < MERGES_GO_ON:
            rest = f"The rest follows within {max(self.caught_up, 0.1):.1f} s."
            long = f"Merges go on, after {median * 1000:.0f} ms at the median. {rest}"
        return f"| {self.fault.name} | {self.fault.happens} | {long} | {self.fault.advice} |"


def measure(stage: Stage, fault: Fault) -> Measured:
    """Strike, wait until doctor and metrics report it, end it, and wait until the merges go on."""
    pause(WARM_UP)
    with fault.strike(stage):
        start = time.time()
        await_report(fault.in_metrics, stage.metrics)
        await_report(fault.in_doctor, stage.doctor)
        pause(max(0.0, fault.seconds - (time.time() - start)))
    end = time.time()
    resumed = stage.await_resumption(end) + (end - start if fault.from_start else 0)
    stage.await_catching_up(end)
    caught_up = time.time() - end
    assert resumed <= fault.limit, f"{fault.name}: merges resumed only after {resumed:.1f} seconds"
    return Measured(fault, end - start, resumed, caught_up, stage.waits(start, end))


def await_report(expected: str | None, read: Callable[[], str]) -> None:
    """Wait until a report says what is expected."""
    if expected is None:
        return
    deadline = time.monotonic() + REPORT_TIMEOUT
    while not re.search(expected, said := read()):
        assert time.monotonic() < deadline, f"no report of {expected!r}: {said}"
        pause(0.5)


@click.command()
@click.option("--write", is_flag=True, help="Write the table into docs/operations.md, if all faults ran.")
@click.argument("names", nargs=-1)
def main(*, write: bool, names: Sequence[str]) -> None:
    """Run the faults whose names contain one of NAMES, or all."""
    configure_logging(logging.ERROR)
    chosen = [fault for fault in FAULTS if not names or any(name in fault.name for name in names)]
    skipped = [fault.name for fault in chosen if not fault.needs()]
    measured = []
    with TemporaryDirectory(prefix="gateway-chaos-") as directory, staged(Path(directory)) as stage:
        Path(directory).chmod(0o755)  # PostgreSQL may run as another user
        try:
            with Load(stage.gateway, stage.customers) as load:
                for fault in chosen:
                    if fault.name not in skipped:
                        measured.append(measure(stage, fault))
                        click.echo(measured[-1].describe())
            stage.assert_sound()
        except BaseException:
            serious = [line for line in stage.gateway.said().splitlines() if '"level": "info"' not in line]
            click.echo("\n".join(serious)[-LOG_SHOWN:], err=True)
            raise
        click.echo(f"Nothing lost or doubled, nothing stuck, all as at Stripe. Plan changes: {dict(load.answers)}")
    rows = [each.row() for each in measured]
    table = "\n".join([HEAD, *rows])
    click.echo(table)
    for name in skipped:
        click.echo(f"not run here: {name}")
    if write and len(measured) == len(FAULTS):
        PAGE.write_text(TABLE.sub(lambda _: table, PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
