"""Screenshots of the Billing page for people to look at. ``make screenshots`` writes them."""

import os
from pathlib import Path

from playwright.sync_api import ViewportSize

from tests.support.accessibility import find_violations
from tests.support.visitor import Visitor

VARIABLE = "SCREENSHOTS"
"""Names the folder. Without it, the tests take no screenshots, because each state takes a second."""
SIZES = {"narrow": ViewportSize(width=360, height=740), "wide": ViewportSize(width=1280, height=900)}


def photograph(visitor: Visitor, name: str) -> None:
    """Write a screenshot for each size and color scheme. Axe finds nothing in any of them."""
    if VARIABLE not in os.environ:
        return
    folder = Path(os.environ[VARIABLE])
    folder.mkdir(exist_ok=True)
    for size, viewport in SIZES.items():
        visitor.page.set_viewport_size(viewport)
        assert find_violations(visitor.page) == {}, (name, size)
        assert visitor.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (name, size)
        for scheme in ("dark", "light"):
            visitor.page.emulate_media(color_scheme=scheme)
            visitor.page.screenshot(path=folder / f"{name}-{size}-{scheme}.png", full_page=True)
