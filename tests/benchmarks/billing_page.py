"""Measures the time from Subscribe to the new plan on the Billing page, in a real browser.

The parts are those of the demo, with durable commits.
"""

import shutil
import statistics
import time

import click
from playwright.sync_api import sync_playwright

from tests.benchmarks.rig import rig
from tests.support.deployment import deployed
from tests.support.visitor import Visitor

BOUND = 1.0
"""The limit in seconds."""


@click.command()
@click.option("--purchases", default=10, show_default=True)
def main(purchases: int) -> None:
    """Subscribe as many organizations, and print the times."""
    with rig() as set_up, deployed(set_up.url, set_up.logs) as deployment, sync_playwright() as playwright:
        deployment.serve()
        deployment.work()
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        times = []
        for number in range(purchases):
            visitor = Visitor(deployment, browser.new_page(locale="en-US"), f"org_{number}")
            deployment.enrol(visitor.organization)
            visitor.open("/plans/plus/details")
            visitor.enter_details()
            visitor.page.get_by_role("button", name="Subscribe").wait_for()
            began = time.perf_counter()
            visitor.press("Subscribe")
            visitor.see("Done. Your organization is on Plus now.")
            times.append(time.perf_counter() - began)
        browser.close()
    click.echo(
        f"Subscribe to Plus: median {statistics.median(times):.2f} s, slowest {max(times):.2f} s. Bound: {BOUND} s"
    )


if __name__ == "__main__":
    main()
