"""The Usage section shows usage, estimates and spend alerts."""

from tests.support.screenshots import photograph
from tests.support.shown_amounts import upcoming
from tests.support.visitor import Visitor
from tests.support.wait import eventually


def test_usage_and_estimate_are_those_of_stripe(visitor: Visitor) -> None:
    visitor.open()
    assert visitor.page.get_by_text("not counted yet").count() == 2  # services, and those of the Dev Portal
    visitor.use("portal_services", 0)
    visitor.open()
    visitor.see("you have 0")
    visitor.count_services(2)
    visitor.open()
    visitor.see("you have 2")
    assert visitor.page.get_by_text("not counted yet").count() == 0
    visitor.subscribe()
    visitor.use("api_calls", 1_200_000)
    visitor.open()
    visitor.see("1,200,000 this month")
    visitor.see("you have 2")
    visitor.see("if nothing changes")
    assert upcoming(visitor.deployment.stripe, visitor.ids()[1]) in visitor.amounts()
    visitor.follow("Usage")
    visitor.heading("Usage").wait_for()
    visitor.see("$20.00 per million")
    visitor.see("10 included, then $5.00 each")
    assert "1,200,000" in visitor.page.locator("main").inner_text()
    photograph(visitor, "usage")


def test_quantity_that_follows_a_level_is_not_offered(visitor: Visitor) -> None:
    visitor.subscribe()
    visitor.open("/plans")
    visitor.follow("Change quantity")
    visitor.see("Choose another quantity to see what it costs.")
    visitor.count_services(2)
    eventually(lambda: "change_quantity" not in visitor.details()["actions"])
    visitor.open("/plans")
    visitor.see("Current plan")
    assert visitor.page.get_by_text("Change quantity").count() == 0
    visitor.open("/plans/plus")
    visitor.see("This change is not possible here.")
    visitor.open("/plans")
    visitor.press("Yearly")
    visitor.follow("Switch to yearly billing")
    visitor.see("What you pay")
    assert visitor.page.get_by_label("Services").count() == 0


def test_spend_alerts_are_set_edited_and_deleted(visitor: Visitor) -> None:
    visitor.subscribe()
    visitor.open("/usage")
    amounts = visitor.page.get_by_label("Amount in USD")
    amounts.fill("500.5")
    visitor.press("Add an alert")
    amounts.nth(1).fill("1000")
    visitor.page.get_by_label("Spend limit in USD").fill("2000")
    visitor.press("Save alerts")
    visitor.see("The spend alerts are saved.")
    assert read_alerts(visitor) == ([50_050, 100_000], 200_000)
    photograph(visitor, "usage-alerts")
    visitor.press("Delete the alert at $500.50")
    amounts.fill("750.005")
    visitor.press("Save alerts")
    visitor.see("Please enter a multiple of 0.01.")
    amounts.fill("0")
    visitor.press("Save alerts")
    visitor.see("Please enter 0.01 or more.")
    amounts.fill("750")
    visitor.page.get_by_label("Spend limit in USD").fill("")
    visitor.press("Save alerts")
    visitor.see("The spend alerts are saved.")
    visitor.page.reload()
    visitor.see("Spend alerts")
    assert (amounts.input_value(), read_alerts(visitor)) == ("750.00", ([75_000], None))


def test_spend_alerts_are_offered_only_where_they_are_sent(visitor: Visitor) -> None:
    visitor.open("/usage")
    visitor.see("There are no alerts on Free, during a trial, or on plans of our sales team.")
    assert visitor.page.get_by_role("button").count() == 0
    visitor.deployment.ok(visitor.organization, "POST", "/subscription")
    visitor.open("/usage")
    visitor.see("Spend alerts")
    assert visitor.page.get_by_role("button").count() == 0
    visitor.use_card("pm_card_visa")
    visitor.move_to_enterprise()
    visitor.open("/usage")
    visitor.see("Spend alerts")
    assert visitor.page.get_by_role("button").count() == 0
    photograph(visitor, "usage-without-alerts")


def read_alerts(visitor: Visitor) -> tuple[list[int], int | None]:
    found = visitor.deployment.ok(visitor.organization, "GET", "/spend-alerts")
    return found["amounts"], found["spend_limit"]
