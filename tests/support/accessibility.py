"""What axe finds on a page of a browser."""

from functools import cache
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

RUN = "(options) => axe.run(options).then(({ violations }) => violations)"


@cache
def load_axe() -> str:
    """Return the program that a page runs to check itself."""
    script: str = Axe().axe_script
    return script


def find_violations(page: Page) -> dict[str, list[str]]:
    """Return the broken rules and their elements, in light and dark. Only the contrast differs in the dark."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(load_axe())
    found = run(page)
    page.emulate_media(color_scheme="dark")
    dark = run(page, runOnly=["color-contrast"])
    page.emulate_media(color_scheme="light")
    return {**found, **{f"{rule} in the dark": elements for rule, elements in dark.items()}}


def run(page: Page, **options: Any) -> dict[str, list[str]]:
    """Check the page, and return the broken rules and their elements."""
    found = page.evaluate(RUN, {"resultTypes": ["violations"], **options})
    return {each["id"]: [node["html"] for node in each["nodes"]] for each in found}
