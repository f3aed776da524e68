"""Measures our own time for a plan change, and its calls to Stripe. Web, worker and sandbox share the cores.

Our own time is the application's time without the waits for Stripe's responses (``timed``). The benchmark drops the
deliveries. Stripe delivers about a second after the answer, but the sandbox would sign and send immediately, on the
measured cores. The other benchmarks measure deliveries.

The yardstick is a bare view with three durable transactions (``bare_commits``), which is called after each change.
"""

import statistics
from collections import Counter, defaultdict
from functools import partial
from typing import Any

import click
import requests

from tests.benchmarks import bare_commits
from tests.benchmarks.rig import rig
from tests.benchmarks.timed import CALLS, OWN
from tests.support.api import take_card
from tests.support.deployment import Deployment, deployed
from tests.support.processes import await_port, gunicorn, running

ORGANIZATIONS = 40
BARE = "bare view"
WARM = 4  # these organizations only warm up the processes
STEPS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("upgrade", {"plan": "plus"}),
    ("quantity", {"quantity": 5}),
    ("quantity", {"quantity": 2}),
    ("downgrade", {"plan": "free"}),
    ("upgrade", {"plan": "plus", "quantity": 3}),
    ("quantity", {"quantity": 4}),
    ("downgrade", {"plan": "free"}),
)


class Samples:
    """Our own milliseconds and the calls to Stripe, by kind of request."""

    def __init__(self) -> None:
        self.own: defaultdict[str, list[float]] = defaultdict(list)
        self.calls: defaultdict[str, Counter[int]] = defaultdict(Counter)

    def take(self, kind: str, answer: requests.Response) -> requests.Response:
        """Record a request's own time and calls."""
        answer.raise_for_status()
        self.own[kind].append(float(answer.headers[OWN]))
        self.calls[kind][int(answer.headers[CALLS])] += 1
        return answer

    def report(self) -> None:
        """Print a line for each kind."""
        for kind, own in self.own.items():
            median, p99 = statistics.median(own), statistics.quantiles(own, n=100)[98]
            calls = ", ".join(f"{number} ({times} times)" for number, times in sorted(self.calls[kind].items()))
            click.echo(f"{kind:>20}: own time {median:5.1f} ms, p99 {p99:5.1f} ms; calls to Stripe: {calls}")
        changes = [each for kind, own in self.own.items() if kind.startswith("change") for each in own]
        share = statistics.median(changes) / statistics.median(self.own[BARE])
        click.echo(
            f"all changes: own time {statistics.median(changes):.1f} ms at the median (at most 15), "
            f"x{share:.2f} of three durable transactions of a bare view (at most 2)"
        )


def play(parts: Deployment, bare: int, organization_id: str, samples: Samples, *, quoted: bool) -> None:
    """Enrol an organization and let it make all changes. ``bare`` is the port of the bare view."""
    samples.take("enrolment", parts.api(organization_id, "POST", "/subscription", plan="free"))
    take_card(partial(parts.ok, organization_id), parts.stripe)
    for name, wanted in STEPS:
        body = dict(wanted)
        if quoted:
            quote = samples.take("quote", parts.api(organization_id, "POST", "/subscription/preview", **body))
            body = {"quote": quote.json()["token"]}
        kind = f"change, {name}" + (", quoted" if quoted else "")
        samples.take(kind, parts.api(organization_id, "PATCH", "/subscription", **body))
        samples.take(BARE, requests.patch(f"http://127.0.0.1:{bare}/{organization_id}", timeout=60))


def main() -> None:
    """Run the benchmark."""
    with rig() as database, database.connect() as connection, deployed(database.url, database.logs) as parts:
        connection.execute(bare_commits.TABLE)
        web = gunicorn("tests.benchmarks.timed:application()", parts.port)
        with (
            running(web, parts.environment, database.logs / "web.log"),
            database.web("tests.benchmarks.bare_commits:application()") as bare,
        ):
            await_port(parts.port)
            parts.work()
            parts.fault("webhook_dropped", times=1_000_000)
            for number in range(WARM):
                play(parts, bare, f"org_warm_{number}", Samples(), quoted=bool(number % 2))
            samples = Samples()
            for number in range(ORGANIZATIONS):
                play(parts, bare, f"org_{number}", samples, quoted=bool(number % 2))
    samples.report()


if __name__ == "__main__":
    main()
