"""The page shows what the next month costs, and how to pay an invoice that Stripe could not collect."""

from tests.support.renewals import CALCULATED, FAILED, GIVEN_UP, Month
from tests.support.screenshots import photograph
from tests.support.shown_amounts import invoiced, money, upcoming
from tests.support.visitor import Visitor
from tests.support.wait import eventually


def test_next_charges_are_shown_three_days_ahead(visitor: Visitor) -> None:
    month = Month(visitor)
    month.advance(CALCULATED)
    eventually(lambda: visitor.details()["upcoming_charges"] is not None)
    calculated = visitor.details()["upcoming_charges"]
    visitor.open()
    visitor.see(f"{money(calculated['amount_due'])} on ")
    visitor.see("Calculated on")
    assert money(calculated["amount_due"]) == upcoming(visitor.deployment.stripe, visitor.ids()[1])
    photograph(visitor, "three-days-ahead")


def test_open_invoice_is_paid_after_a_failed_renewal(visitor: Visitor) -> None:
    Month(visitor).advance(FAILED)
    eventually(lambda: visitor.details()["standing"] == "grace")
    visitor.open()
    [amount] = invoiced(visitor.deployment.stripe, visitor.ids()[0], ["amount_remaining"]) - {"$0.00"}
    visitor.see(f"We could not collect {amount}")
    photograph(visitor, "payment-overdue")
    visitor.follow("Pay now")
    visitor.press(f"Pay {amount}")
    visitor.see("Your card was declined.")
    photograph(visitor, "payment-declined")
    visitor.go("/payment-methods/new", "Add a payment method")
    visitor.fill_card()
    visitor.press("Add and make default")
    visitor.see("The payment method is on file")
    visitor.follow("Billing history")
    visitor.press(f"Pay {amount}")
    visitor.see(f"Thank you. {amount} is paid.")
    photograph(visitor, "payment-paid")
    assert invoiced(visitor.deployment.stripe, visitor.ids()[0], ["amount_remaining"]) == {"$0.00"}
    eventually(lambda: visitor.details()["standing"] == "good")
    visitor.follow("Overview")
    visitor.heading("Your plan").wait_for()
    assert visitor.page.get_by_text("Payment overdue").count() == 0


def test_scheduled_plan_keeps_its_cards_and_pays_its_invoice(visitor: Visitor) -> None:
    Month(visitor).advance(FAILED)
    eventually(lambda: visitor.details()["standing"] == "grace")
    stripe, (_, subscription) = visitor.deployment.stripe.v1, visitor.ids()
    stripe.subscription_schedules.create({"from_subscription": subscription})
    stripe.subscriptions.update(subscription, {"metadata": {"note": "scheduled"}})  # Stripe then shows the schedule
    eventually(lambda: bool(visitor.details()["scheduled"]))
    visitor.open()
    visitor.follow("Use another payment method")
    visitor.press("Make Visa •••• 4242 the default")
    visitor.see("Visa •••• 4242 is the default now")
    visitor.follow("Overview")
    visitor.follow("Pay now")
    visitor.page.get_by_role("button", name="Pay $").click()
    visitor.see("is paid.")
    eventually(lambda: visitor.details()["standing"] == "good")


def test_suspended_organization_is_told_how_to_pay(visitor: Visitor) -> None:
    visitor.deployment.set_at_stripe(after_retries="unpaid")
    Month(visitor).advance(GIVEN_UP)
    eventually(lambda: visitor.details()["standing"] == "suspended")
    visitor.open()
    visitor.see("Your organization is limited to Free until it is paid.")
    visitor.see("You are subscribed to Plus: 1 service at $250.00 per month.")
    photograph(visitor, "suspended")
    visitor.use_card("pm_card_visa")
    visitor.follow("Pay now")
    visitor.page.get_by_role("button", name="Pay $").first.click()
    visitor.see("is paid.")
    eventually(lambda: visitor.details()["standing"] == "good")


def test_ended_plan_shows_its_debt_and_is_bought_again(visitor: Visitor) -> None:
    visitor.deployment.set_at_stripe(after_retries="canceled")
    Month(visitor).advance(GIVEN_UP)
    eventually(lambda: visitor.details()["status"] == "canceled")
    # The events of the end and of the last attempt come in any order, and the page shows what it knew when it opened.
    eventually(lambda: (visitor.details()["payment_problem"] or {}).get("reason") == "retries_ended")
    visitor.open()
    visitor.see("An invoice is unpaid")
    visitor.see("All attempts to collect the payment failed.")
    visitor.see("Until it is paid, you cannot buy more.")
    photograph(visitor, "ended-unpaid")
    visitor.use_card("pm_card_visa")
    visitor.follow("Pay now")
    visitor.page.get_by_role("button", name="Pay $").first.click()
    visitor.see("is paid.")
    eventually(lambda: visitor.details()["payment_problem"] is None)
    visitor.go("/plans", "Change your plan")
    visitor.follow("Upgrade to Plus")
    visitor.enter_details()
    visitor.press("Subscribe")
    visitor.see("Done. Your organization is on Plus now.")
    assert visitor.page.get_by_text("An invoice is unpaid").count() == 0
