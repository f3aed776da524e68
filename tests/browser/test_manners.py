"""The page is accessible, does not jump, is small, and speaks the reader's language."""

import pytest

from tests.support.accessibility import find_violations
from tests.support.visitor import Visitor

VIEWS = {
    "/plans": "Change your plan",
    "/plans/plus": "Change the quantity of Plus",
    "/cancel": "Cancel your plan",
    "/payment-methods": "Payment methods",
    "/payment-methods/new": "Add a payment method",
    "/history": "Billing history",
    "/details": "Billing details",
    "/sales": "Contact Sales",
    "/usage": "Usage",
    "/": "Your plan",
}
FIRST_LOAD = 100_000  # bytes, not compressed
SHIFT = """() => new Promise((resolve) => {
    let sum = 0;
    new PerformanceObserver((list) => {
        for (const each of list.getEntries()) if (!each.hadRecentInput) sum += each.value;
    }).observe({ type: "layout-shift", buffered: true });
    requestAnimationFrame(() => setTimeout(() => resolve(sum), 0));
})"""
LOADED = """() => [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
    .reduce((sum, each) => sum + each.decodedBodySize, 0)"""
FORMATS = """async () => {
    const { money, toMinorUnits, toUnits } = await import("/billing/static/words.js");
    return [
        money(1234, "usd"), money(1234, "jpy"), money(1234, "kwd"), money("0.002", "usd"),
        toUnits(1234, "jpy"), toUnits(1234, "kwd"), toMinorUnits("1.234", "kwd"), toMinorUnits("1.15", "usd"),
    ];
}"""


def test_axe_finds_nothing_in_any_view(visitor: Visitor) -> None:
    visitor.subscribe()
    visitor.page.set_viewport_size({"width": 360, "height": 740})
    visitor.open()
    for view, heading in VIEWS.items():
        visitor.go(view, heading)
        assert find_violations(visitor.page) == {}, view
        assert visitor.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), view


@pytest.mark.parametrize("width", [360, 1280])
def test_first_load_is_small_and_does_not_jump(visitor: Visitor, width: int) -> None:
    visitor.page.set_viewport_size({"width": width, "height": 740})
    visitor.open()
    assert visitor.page.evaluate(SHIFT) < 0.1
    assert visitor.page.evaluate(LOADED) < FIRST_LOAD


def test_money_has_the_decimals_of_its_currency(visitor: Visitor) -> None:
    visitor.open()
    assert visitor.page.evaluate(FORMATS) == [
        "$12.34", "¥1,234", "KWD\u00a01.234", "$0.00002", "1234", "1.234", 1234, 115,
    ]  # fmt: skip


def test_german_browser_gets_german_texts_and_formats(visitor: Visitor) -> None:
    browser = visitor.page.context.browser
    assert browser is not None
    german = Visitor(visitor.deployment, browser.new_page(locale="de-DE"), visitor.organization)
    german.open("/plans")
    german.heading("Tarif ändern").wait_for()
    german.see("250,00")
    german.page.close()


@pytest.mark.long
def test_reference_shows_the_interface(visitor: Visitor) -> None:
    visitor.page.goto(f"http://127.0.0.1:{visitor.deployment.port}/docs")
    visitor.see("/v1/subscription/preview")
