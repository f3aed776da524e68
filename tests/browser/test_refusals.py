"""The page says what is missing, and what to do now."""

from tests.support.screenshots import photograph
from tests.support.visitor import LONG_AGO, Visitor

INQUIRY = {"name": "Kim", "email": "kim@example.com", "company": "Example Ltd", "message": "We grow."}


def test_reader_without_write_access_sees_no_action(visitor: Visitor) -> None:
    visitor.subscribe()
    visitor.open(scopes=("billing:read",))
    visitor.see("You can see this page, but not change anything.")
    assert visitor.page.locator("main :is(button, a)").count() == 0
    photograph(visitor, "read-only")
    visitor.go("/usage", "Usage")
    visitor.see("Spend alerts")
    assert visitor.page.get_by_role("button").count() == 0
    photograph(visitor, "read-only-usage")


def test_page_without_a_valid_token_asks_for_a_new_session(visitor: Visitor) -> None:
    visitor.page.goto(f"http://127.0.0.1:{visitor.deployment.port}/billing")
    visitor.see("Please open this page again from Konnect.")
    visitor.open(age=LONG_AGO)
    visitor.see("Your session has ended")
    photograph(visitor, "session-ended")


def test_token_is_taken_out_of_the_address(visitor: Visitor) -> None:
    visitor.open("/history")
    assert visitor.page.url.endswith("/billing#/history")
    assert visitor.page.evaluate("[document.cookie, localStorage.length, sessionStorage.length]") == ["", 0, 1]
    visitor.page.reload()
    visitor.heading("Billing history").wait_for()


def test_too_many_requests_are_said_with_the_time_to_wait(visitor: Visitor) -> None:
    for _ in range(5):
        visitor.deployment.ok(visitor.organization, "POST", "/sales-inquiries", **INQUIRY)
    visitor.open("/sales")
    visitor.fill(**INQUIRY)
    visitor.press("Send")
    visitor.see("There were too many requests.")
    visitor.see("Please wait 60 minutes.")
    photograph(visitor, "too-many-requests")


def test_stripe_away_is_said_and_overcome(visitor: Visitor) -> None:
    visitor.subscribe()
    visitor.deployment.fault("error_before", method="POST", path="/v1/invoices/create_preview", times=10)
    visitor.open("/cancel")
    visitor.see("The payment service does not answer at the moment. Nothing was changed.")
    photograph(visitor, "stripe-away")
    visitor.deployment.end_faults()
    visitor.press("Try again")
    visitor.see("Confirm Downgrade")


def test_database_away_is_said_and_overcome(visitor: Visitor) -> None:
    visitor.open()
    with visitor.deployment.without_database():
        visitor.follow("Billing history")
        visitor.see("Our database cannot be reached at the moment. Nothing was changed.")
        photograph(visitor, "database-away")
    visitor.press("Try again")
    visitor.see("Changes of your plan")


def test_bank_debit_in_progress_is_shown_and_not_paid_twice(visitor: Visitor) -> None:
    visitor.subscribe()
    amount = visitor.begin_bank_debit()
    visitor.open()
    visitor.see(f"A payment of {amount} for invoice")
    photograph(visitor, "bank-debit")
    visitor.follow("Billing history")
    visitor.see("In progress")
    photograph(visitor, "bank-debit-history")
    assert visitor.page.get_by_role("button", name=f"Pay {amount}").count() == 0
