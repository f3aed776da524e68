"""Measures a year of monthly renewals under one test clock, and whether the cost grows linearly.

The benchmark uses the SDK over HTTP. It measures the time from the first ``advance`` to the last ``ready``. The
yardstick is the machine's speed in the same minute. One renewal copies about fifty dicts, so the report gives its cost
as a multiple of such a copy.
"""

import statistics
import time

import click
import stripe

from gateway.sandbox import Sandbox
from tests.support.clock import DAY, START, ManualClock
from tests.support.stripe_account import StripeAccount

ORGANIZATIONS = (250, 500, 1000)
RENEWALS = 12
YEAR = 366 * DAY
RUNS = 3
COPIES = 100_000
BOUND = 60
"""The limit for 1,000 organizations, in seconds."""


def year(organizations: int) -> float:
    """Return the seconds for a year of this many organizations."""
    with Sandbox(clock=ManualClock(), seed=organizations) as sandbox:
        account = StripeAccount(sandbox)
        clock, price = account.test_clock(), account.price(3000).id
        for _ in range(organizations):
            account.subscribe(account.on_clock(clock).id, price)
        began = time.perf_counter()
        account.advance(clock, START + YEAR)
        return time.perf_counter() - began


def yardstick() -> float:
    """Return the seconds for ``COPIES`` copies of a dict as large as an invoice."""
    invoice = dict.fromkeys(map(str, range(80)), 0)
    began = time.perf_counter()
    for number in range(COPIES):
        invoice = invoice | {"0": number}
    return time.perf_counter() - began


def main() -> None:
    """Print the medians."""
    stripe.enable_telemetry = False
    each: dict[int, float] = {}
    click.echo(f"A year of monthly renewals under one test clock, medians of {RUNS} runs")
    for organizations in ORGANIZATIONS:
        times, copies = zip(*((year(organizations), yardstick()) for _ in range(RUNS)), strict=True)
        seconds = statistics.median(times)
        each[organizations] = seconds / organizations / RENEWALS
        ratio = each[organizations] / (statistics.median(copies) / COPIES)
        click.echo(
            f"{organizations:>6} organizations  {seconds:6.1f} s  {each[organizations] * 1000:5.2f} ms a renewal"
            f"  = {ratio:,.0f} copies of a dict",
        )
    few, many = ORGANIZATIONS[0], ORGANIZATIONS[-1]
    click.echo(
        f"A renewal among {many} costs {each[many] / each[few]:.2f} times what it costs among {few} (1.00 is linear)"
    )
    click.echo(f"Bound: {BOUND} s for {many}")


if __name__ == "__main__":
    main()
