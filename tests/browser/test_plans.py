"""People change their plan, click by click, at the amounts of the quote and of Stripe's objects."""

from collections.abc import Callable

from tests.support.json_types import Json
from tests.support.screenshots import photograph
from tests.support.shown_amounts import estimated, invoiced, money, priced, quoted, upcoming
from tests.support.visitor import ASKING, DECLINED, Visitor


def read_quote(visitor: Visitor, act: Callable[[], None]) -> Json:
    """Return the quote that an action asks for, once the page shows it and no other amount."""
    with visitor.page.expect_response("**/subscription/preview") as answered:
        act()
    quote: Json = answered.value.json()
    visitor.see("What you pay")
    assert set(visitor.amounts()) <= quoted(quote)
    return quote


def choose_plus(visitor: Visitor) -> None:
    visitor.open()
    visitor.follow("Change Plan")
    visitor.see("Upgrade to Plus")
    assert set(visitor.amounts()) <= priced(visitor.deployment.stripe)
    free, plus, enterprise = visitor.page.locator(".tile").all_inner_texts()
    assert ("Services: up to 3" in free, "Current plan" in free) == (True, True)
    assert ("Support by e-mail" in plus, "Contact Sales" in enterprise) == (True, True)
    photograph(visitor, "plans")
    visitor.follow("Upgrade to Plus")


def test_new_organization_tries_plus_without_a_card(visitor: Visitor) -> None:
    visitor.open()
    visitor.press("Try Plus for free")
    visitor.see("Your trial of Plus ends in 30 days")
    photograph(visitor, "trial")
    assert visitor.details()["plan"] == "plus"


def test_card_buys_plus_and_cancels_it_at_the_quoted_amounts(visitor: Visitor) -> None:
    choose_plus(visitor)
    visitor.enter_details()
    visitor.see("Card number")
    photograph(visitor, "purchase-card")
    quote = read_quote(visitor, visitor.enter_card)
    visitor.see("You pay $0.00 today.")
    photograph(visitor, "purchase-quote")
    visitor.press("Subscribe")
    visitor.see("Done. Your organization is on Plus now.")
    assert visitor.details()["plan"] == "plus"
    stripe, (_, subscription) = visitor.deployment.stripe, visitor.ids()
    visitor.see("if nothing changes")
    photograph(visitor, "subscribed")
    assert money(quote["amount_due_on_billing_date"]) == upcoming(stripe, subscription)
    assert set(visitor.amounts(".estimate")) == estimated(stripe, subscription)
    quote = read_quote(visitor, lambda: visitor.follow("Cancel Plan"))
    visitor.see("What you used until now is billed with the next invoice.")
    visitor.see("Plus plugins")
    photograph(visitor, "cancel")
    visitor.page.get_by_label("Reason").select_option("unused")
    visitor.fill(comment="We come back.")
    visitor.press("Confirm Downgrade")
    visitor.see("Done. Your organization is on Free now.")
    assert visitor.details()["plan"] == "free"
    reason = stripe.v1.subscriptions.retrieve(subscription).cancellation_details
    assert reason is not None
    assert (reason.feedback, reason.comment) == ("unused", "We come back.")
    assert money(quote["amount_due_on_billing_date"]) == upcoming(stripe, subscription)
    visitor.see("if nothing changes")  # the next invoice still bills the usage of Plus
    assert visitor.page.get_by_text("None for now").count() == 0


def test_upgrade_buys_the_services_that_are_counted(visitor: Visitor) -> None:
    visitor.deployment.enrol(visitor.organization)
    visitor.count_services(4)
    visitor.open("/plans/plus/details")
    visitor.enter_details()
    visitor.see("Plus (at $250.00 / month)")
    assert visitor.page.get_by_label("Services").input_value() == "4"
    visitor.page.get_by_label("Services").fill("5")
    visitor.page.get_by_label("Services").press("Tab")
    visitor.see("The number of services follows what Konnect counts.")
    assert visitor.page.get_by_label("Services").input_value() == "4"
    visitor.press("Subscribe")
    visitor.see("4 services at $250.00 per month")


def test_declined_card_shows_the_banks_reason(visitor: Visitor) -> None:
    choose_plus(visitor)
    visitor.enter_details()
    visitor.enter_card(DECLINED)
    visitor.see("Your card was declined.")
    photograph(visitor, "card-declined")
    assert visitor.details()["payment_method"] is None


def test_card_with_3d_secure_is_approved_or_refused(visitor: Visitor) -> None:
    choose_plus(visitor)
    visitor.enter_details()
    visitor.enter_card(ASKING)
    visitor.press("Fail authentication")
    visitor.see("The approval was not completed.")
    photograph(visitor, "card-not-approved")
    visitor.enter_card(ASKING)
    visitor.see("Complete authentication")
    visitor.page.go_back()
    visitor.see("The approval was not completed.")
    visitor.enter_card(ASKING)
    visitor.press("Complete authentication")
    visitor.see("The payment method is on file and is the default.")
    visitor.press("Subscribe")
    visitor.see("Done. Your organization is on Plus now.")


def test_switch_to_the_year_is_charged_as_quoted(visitor: Visitor) -> None:
    visitor.subscribe()
    visitor.deployment.ok(visitor.organization, "PATCH", "/subscription", quantity=5)
    visitor.open("/plans")
    visitor.press("Yearly")
    visitor.see("$2,500.00")
    photograph(visitor, "plans-yearly")
    quote = read_quote(visitor, lambda: visitor.follow("Switch to yearly billing"))
    due = money(quote["amount_due_now"])
    visitor.see(f"We charge {due} to Visa")
    photograph(visitor, "yearly-quote")
    visitor.press("Confirm change")
    visitor.see("5 services at $2,500.00 per year")
    customer, _ = visitor.ids()
    assert due in invoiced(visitor.deployment.stripe, customer, ["amount_paid"])
    visitor.follow("Billing history")
    visitor.see("Paid")
    visitor.see("Plus, 5 services")
    invoice = visitor.page.get_by_role("link", name="Download PDF").first.get_attribute("href")
    assert visitor.page.request.get(str(invoice)).headers["content-type"] == "application/pdf"
    assert set(visitor.amounts()) == invoiced(visitor.deployment.stripe, customer, ["total"])
    quote = read_quote(visitor, lambda: visitor.go("/cancel", "Cancel your plan"))
    visitor.see(f"{money(quote['credit'])} is credited for the time that you do not use.")
    visitor.see("Services: you have 5, and up to 3 can be used.")
    visitor.see("Kept as credit for later charges")
    photograph(visitor, "cancel-year")
    visitor.go("/history", "Billing history")
    visitor.press("Receipt")
    visitor.page.wait_for_url("**/receipts/*")


def test_payment_waits_for_the_holder_of_the_card(visitor: Visitor) -> None:
    visitor.deployment.enrol(visitor.organization)
    visitor.use_card("pm_card_authenticationRequired")
    buy_a_year(visitor)
    visitor.enter_details()
    visitor.press("Subscribe")
    visitor.see("Your bank asks you to approve the payment")
    photograph(visitor, "approval")
    answer_bank(visitor, "Fail authentication")
    visitor.see("The payment was not approved, and nothing was charged.")
    visitor.press("Cancel the change")
    visitor.see("The change was cancelled. Nothing was charged.")
    buy_a_year(visitor)
    visitor.press("Subscribe")
    answer_bank(visitor, "Complete authentication")
    visitor.see("Done. Your organization is on Plus now.")
    visitor.see("1 service at $2,500.00 per year")


def answer_bank(visitor: Visitor, answer: str) -> None:
    """Answer the question of the bank, which the page opens in another tab."""
    with visitor.context.expect_page() as opened:
        visitor.press("Approve the payment")
    opened.value.get_by_role("button", name=answer).click()
    opened.value.close()


def buy_a_year(visitor: Visitor) -> None:
    visitor.open("/plans")
    visitor.press("Yearly")
    visitor.follow("Upgrade to Plus")


def test_sales_are_asked_for_enterprise_and_about_leaving_it(visitor: Visitor) -> None:
    visitor.subscribe()
    visitor.count_services(4)
    visitor.open("/plans")
    visitor.follow("Contact Sales")
    visitor.fill(email="kim@example.com", company="Example Ltd", message="We grow.")
    visitor.fill(name="Kim")
    visitor.press("Send")
    visitor.see("Thank you. Our sales team has your message and answers to kim@example.com.")
    photograph(visitor, "sales-sent")
    visitor.move_to_enterprise()
    visitor.open("/history")
    visitor.see("Our sales team manages the payments")
    visitor.go("/payment-methods", "Payment methods")
    visitor.see("Our sales team manages the payments")
    assert visitor.page.get_by_role("button").count() == 0
    photograph(visitor, "enterprise-methods")
    visitor.go("/", "Your plan")
    visitor.see("you have 4")
    photograph(visitor, "enterprise")
    visitor.follow("Contact Sales")
    visitor.fill(name="Kim", email="kim@example.com", company="Example Ltd", message="We shrink.")
    visitor.press("Send")
    visitor.see("Thank you.")
    assert (
        visitor.deployment.number(
            "SELECT count(*) FROM sales_inquiries WHERE organization_id = %s", visitor.organization
        )
        == 2
    )


def test_keyboard_alone_goes_to_plus_and_back(visitor: Visitor) -> None:
    visitor.open()
    visitor.enter_on("Change Plan")
    visitor.see("Upgrade to Plus")
    assert visitor.page.evaluate("document.activeElement.textContent") == "Change your plan"
    visitor.enter_on("Upgrade to Plus")
    visitor.see("Street and number")
    visitor.type(email="billing@example.com", line1="1 Main Street", city="Springfield")
    visitor.page.keyboard.press("Enter")
    visitor.see("Card number")
    visitor.type(number="4242424242424242", expiry="1234", cvc="123")
    visitor.page.keyboard.press("Enter")
    visitor.see("You pay $0.00 today.")
    visitor.enter_on("Subscribe")
    visitor.see("Done. Your organization is on Plus now.")
    assert visitor.page.get_by_role("status").inner_text() == "Done. Your organization is on Plus now."
    visitor.enter_on("Cancel Plan")
    visitor.see("What happens when you confirm")
    visitor.enter_on("Confirm Downgrade")
    visitor.see("Done. Your organization is on Free now.")
