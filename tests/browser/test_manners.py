"""The page is accessible, does not jump, and tells the truth when something is missing."""

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

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
SHIFT = """() => new Promise((resolve) => {
    let sum = 0;
    new PerformanceObserver((list) => {
        for (const each of list.getEntries()) if (!each.hadRecentInput) sum += each.value;
    }).observe({ type: "layout-shift", buffered: true });
    requestAnimationFrame(() => setTimeout(() => resolve(sum), 0));
})"""


def violations(page: Page, *rules: str) -> dict[str, list[str]]:
    """Return what axe finds, as the broken rules and their elements. Check all rules if none are named."""
    options = {"runOnly": list(rules)} if rules else None
    found = Axe().run(page, options=options).response["violations"]
    return {each["id"]: [node["html"] for node in each["nodes"]] for each in found}


def test_axe_finds_nothing_in_any_view(visitor: Visitor) -> None:
    visitor.subscribe()
    visitor.page.set_viewport_size({"width": 360, "height": 740})
    visitor.open()
    for view, heading in VIEWS.items():
        visitor.go(view, heading)
        assert violations(visitor.page) == {}, view
        assert visitor.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), view
        visitor.page.emulate_media(color_scheme="dark")
        assert violations(visitor.page, "color-contrast") == {}, view
        visitor.page.emulate_media(color_scheme="light")


def test_first_load_does_not_jump(visitor: Visitor) -> None:
    visitor.open()
    assert visitor.page.evaluate(SHIFT) < 0.1


def test_reader_without_write_access_sees_no_action(visitor: Visitor) -> None:
    visitor.subscribe()
    visitor.open(scopes=("billing:read",))
    visitor.see("You can see this page, but not change anything.")
    assert visitor.page.get_by_role("button").count() == 0


def test_page_without_a_token_asks_for_a_new_session(visitor: Visitor) -> None:
    visitor.page.goto(f"http://127.0.0.1:{visitor.deployment.port}/billing")
    visitor.see("Please open this page again from Konnect.")


def test_token_is_taken_out_of_the_address(visitor: Visitor) -> None:
    visitor.open("/history")
    assert visitor.page.url.endswith("/billing#/history")
    visitor.page.reload()
    visitor.heading("Billing history").wait_for()


def test_missing_connection_is_said_and_overcome(visitor: Visitor) -> None:
    visitor.open()
    visitor.context.set_offline(True)
    visitor.follow("Billing history")
    visitor.see("There is no connection.")
    visitor.context.set_offline(False)
    visitor.heading("Billing history").wait_for()


def test_german_browser_gets_german_texts_and_formats(visitor: Visitor) -> None:
    context = visitor.page.context.browser
    assert context is not None
    german = Visitor(visitor.deployment, context.new_context(locale="de-DE"), visitor.organization)
    german.open("/plans")
    german.heading("Tarif ändern").wait_for()
    german.see("250,00")
    german.context.close()
