"""Something comes between a person and their change: another tab, a reload, the back button, a lost connection."""

from tests.support.screenshots import photograph
from tests.support.shown_amounts import quoted
from tests.support.visitor import Visitor
from tests.support.wait import eventually

CHANGES = "SELECT count(*) FROM plan_changes WHERE organization_id = %s AND state = 'applied'"


def quote_three_services(visitor: Visitor) -> None:
    visitor.subscribe()
    visitor.open("/plans/plus")
    visitor.page.get_by_label("Services").fill("3")
    visitor.page.get_by_label("Services").press("Tab")
    visitor.see("You pay $0.00 today.")


def test_other_tab_makes_the_quote_stale(visitor: Visitor) -> None:
    quote_three_services(visitor)
    other = visitor.another_tab()
    other.open("/plans/plus")
    other.page.get_by_label("Services").fill("2")
    other.page.get_by_label("Services").press("Tab")
    other.press("Confirm change")
    other.see("2 services at $250.00 per month")
    visitor.press("Confirm change")
    visitor.see("Your plan or a price has changed in the meantime.")
    photograph(visitor, "quote-stale")
    visitor.press("Confirm change")
    visitor.see("3 services at $250.00 per month")


def test_changed_price_is_shown_before_it_is_charged(visitor: Visitor) -> None:
    quote_three_services(visitor)
    visitor.give_price("Plus", 30_000)
    eventually(lambda: visitor.details()["price"]["unit_amount"] == 30_000)
    with visitor.page.expect_response("**/subscription") as answered:
        visitor.press("Confirm change")
    visitor.see("Your plan or a price has changed in the meantime. Nothing was charged.")
    photograph(visitor, "price-changed")
    assert set(visitor.amounts()) <= quoted(answered.value.json()["quote"])
    assert visitor.details()["quantity"] == 1


def test_reload_amid_a_change_makes_it_once(visitor: Visitor) -> None:
    quote_three_services(visitor)
    made = visitor.deployment.number(CHANGES, visitor.organization)
    visitor.deployment.fault("delay", method="POST", path="/v1/subscriptions/*", seconds=30)
    visitor.press("Confirm change")
    visitor.page.reload()
    visitor.see("The connection was lost before the answer came.")
    visitor.deployment.end_faults()
    visitor.see("3 services at $250.00 per month")
    assert visitor.deployment.number(CHANGES, visitor.organization) == made + 1


def test_change_of_somebody_else_is_followed_without_a_reload(visitor: Visitor) -> None:
    visitor.subscribe()
    visitor.deployment.fault("delay", method="POST", path="/v1/subscriptions/*", seconds=30)
    visitor.deployment.call_and_leave(visitor.organization, "PATCH", "/subscription", plan="free")
    visitor.open()
    visitor.see("Your plan is changing to Free.")
    photograph(visitor, "change-in-progress")
    visitor.deployment.end_faults()
    visitor.see("Done. Your organization is on Free now.")


def test_back_button_offers_no_second_purchase(visitor: Visitor) -> None:
    visitor.deployment.enrol(visitor.organization)
    visitor.open("/plans/plus/details")
    visitor.enter_details()
    visitor.press("Subscribe")
    visitor.see("Done. Your organization is on Plus now.")
    visitor.page.go_back()
    visitor.see("Choose another quantity to see what it costs.")
    assert visitor.page.get_by_role("button").count() == 0
    visitor.page.go_forward()
    visitor.see("1 service at $250.00 per month")


def test_lost_connection_leaves_a_truthful_page(visitor: Visitor) -> None:
    visitor.subscribe()
    visitor.open("/cancel")
    visitor.see("Confirm Downgrade")
    visitor.context.set_offline(True)
    visitor.press("Confirm Downgrade")
    visitor.see("The connection was lost before the answer came.")
    photograph(visitor, "answer-lost")
    assert visitor.details()["plan"] == "plus"
    visitor.context.set_offline(False)
    visitor.see("Done. Your organization is on Free now.")
    assert visitor.details()["plan"] == "free"


def test_missing_connection_is_said_and_overcome(visitor: Visitor) -> None:
    visitor.open()
    for offline_view in ("Billing history", "Billing history", "Billing details"):
        visitor.context.set_offline(True)
        visitor.follow(offline_view)
        visitor.see("There is no connection.")
        photograph(visitor, "offline")
        visitor.context.set_offline(False)
        visitor.heading(offline_view).wait_for()
        visitor.go("/", "Your plan")


def test_returning_connection_keeps_what_is_typed(visitor: Visitor) -> None:
    visitor.open("/sales")
    visitor.fill(message="We grow.")
    visitor.context.set_offline(True)
    visitor.context.set_offline(False)
    visitor.see("Contact Sales")
    assert visitor.page.locator("[name=message]").input_value() == "We grow."
