"""Each state that a person can meet, with a screenshot in light and dark, narrow and wide. Axe finds nothing in it.

The screenshots go to the folder ``.screenshots``. These tests move the sandbox's clock, so they run alone.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
import requests
from playwright.sync_api import ViewportSize
from psycopg.conninfo import conninfo_to_dict
from psycopg.sql import SQL, Identifier

from tests.conftest import POSTGRES
from tests.support.accessibility import find_violations
from tests.support.shown_amounts import invoiced, money
from tests.support.visitor import DECLINED, LONG_AGO, Visitor
from tests.support.wait import eventually

pytestmark = pytest.mark.long

FOLDER = Path(__file__).parents[2] / ".screenshots"
SIZES = {"narrow": ViewportSize(width=360, height=740), "wide": ViewportSize(width=1280, height=900)}
DAY = 86_400
END_SESSIONS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"


def photograph(visitor: Visitor, name: str) -> None:
    """Write a screenshot for each size and color scheme."""
    FOLDER.mkdir(exist_ok=True)
    for size, viewport in SIZES.items():
        visitor.page.set_viewport_size(viewport)
        assert find_violations(visitor.page) == {}, (name, size)
        assert visitor.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (name, size)
        for scheme in ("dark", "light"):
            visitor.page.emulate_media(color_scheme=scheme)
            visitor.page.screenshot(path=FOLDER / f"{name}-{size}-{scheme}.png", full_page=True)


def advance(visitor: Visitor, days: float) -> None:
    """Move the sandbox's clock ahead."""
    url = f"{visitor.deployment.sandbox_url}/_sandbox/clock"
    assert requests.post(url, json={"advance": days * DAY}, timeout=30).ok


@contextmanager
def without_database(visitor: Visitor, server: str) -> Iterator[None]:
    """End the sessions of the gateway's database, and refuse new ones for the length of the block."""
    name = str(conninfo_to_dict(visitor.deployment.environment["GATEWAY_DATABASE_URL"])["dbname"])
    allow = SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(allow.format(Identifier(name), SQL("false")))
        try:
            connection.execute(END_SESSIONS, [name])
            yield
        finally:
            connection.execute(allow.format(Identifier(name), SQL("true")))


def test_session_states(visitor: Visitor) -> None:
    visitor.page.route("**/v1/**", lambda _: None)  # no answer comes
    visitor.page.goto(f"http://127.0.0.1:{visitor.deployment.port}/billing#token={visitor.token()}")
    visitor.page.locator("[data-title]:not(:empty)").wait_for()
    photograph(visitor, "loading")
    visitor.page.unroute("**/v1/**")
    visitor.heading("Your plan").wait_for()
    photograph(visitor, "new")
    visitor.open(scopes=("billing:read",))
    photograph(visitor, "read-only")
    visitor.open("/usage", scopes=("billing:read",))
    photograph(visitor, "read-only-usage")
    visitor.open(scopes=())
    photograph(visitor, "forbidden")
    visitor.open(age=LONG_AGO)
    photograph(visitor, "session-ended")
    visitor.open()
    visitor.context.set_offline(True)
    visitor.follow("Billing history")
    visitor.see("There is no connection.")
    photograph(visitor, "offline")


def test_empty_and_full_views(visitor: Visitor) -> None:
    visitor.open("/payment-methods")
    photograph(visitor, "methods-empty")
    visitor.go("/history", "Billing history")
    photograph(visitor, "history-empty")
    visitor.go("/usage", "Usage")
    photograph(visitor, "usage-empty")
    visitor.go("/plans/plus/details", "Upgrade to Plus")
    photograph(visitor, "purchase-details")
    visitor.enter_details()
    visitor.see("Card number")
    photograph(visitor, "purchase-card")
    visitor.enter_card(DECLINED)
    visitor.see("Your card was declined.")
    photograph(visitor, "card-declined")
    visitor.enter_card()
    visitor.see("You pay $0.00 today.")
    photograph(visitor, "purchase-quote")
    visitor.press("Subscribe")
    visitor.see("Done. Your organization is on Plus now.")
    visitor.see("if nothing changes")
    photograph(visitor, "subscribed")
    visitor.use("api_calls", 1_200_000)
    for view, heading, name in (
        ("/plans", "Change your plan", "plans"),
        ("/cancel", "Cancel your plan", "cancel"),
        ("/payment-methods", "Payment methods", "methods"),
        ("/payment-methods/new", "Add a payment method", "card"),
        ("/history", "Billing history", "history"),
        ("/details", "Billing details", "details"),
        ("/sales", "Contact Sales", "sales"),
        ("/usage", "Usage", "usage"),
    ):
        visitor.go(view, heading)
        photograph(visitor, name)
    visitor.press("Delete the alert at $1,000.00")
    visitor.press("Save alerts")
    visitor.see("The spend alerts are saved.")
    photograph(visitor, "usage-no-alert")


def test_pending_states(visitor: Visitor) -> None:
    visitor.open()
    visitor.press("Try Plus for free")
    visitor.see("Your trial of Plus ends in 30 days")
    photograph(visitor, "trial")
    visitor.use_card("pm_card_visa")
    visitor.open()
    visitor.see("the trial ends and Plus continues")
    photograph(visitor, "trial-with-card")
    visitor.deployment.ok(visitor.organization, "PATCH", "/subscription", plan="free")
    visitor.deployment.ok(visitor.organization, "PATCH", "/subscription", plan="plus")
    visitor.begin_bank_debit()
    visitor.open()
    visitor.see("is in progress")
    photograph(visitor, "bank-debit")
    visitor.go("/history", "Billing history")
    photograph(visitor, "bank-debit-history")


def test_changes_in_progress(visitor: Visitor) -> None:
    visitor.subscribe()
    visitor.deployment.fault("delay", method="POST", path="/v1/subscriptions/*", seconds=60)
    visitor.deployment.call_and_leave(visitor.organization, "PATCH", "/subscription", quantity=2)
    visitor.open()
    visitor.see("Your plan is changing to Plus.")
    photograph(visitor, "change-in-progress")
    visitor.deployment.end_faults()
    visitor.see("Done. Your organization is on Plus now.")
    visitor.go("/plans", "Change your plan")
    visitor.press("Yearly")
    photograph(visitor, "plans-yearly")
    visitor.follow("Switch to yearly billing")
    visitor.see("What you pay")
    photograph(visitor, "yearly-quote")


def test_approval_of_a_payment(visitor: Visitor) -> None:
    visitor.deployment.enrol(visitor.organization)
    visitor.use_card("pm_card_authenticationRequired")
    visitor.open("/plans")
    visitor.press("Yearly")
    visitor.follow("Upgrade to Plus")
    visitor.enter_details()
    visitor.press("Subscribe")
    visitor.see("Your bank asks you to approve the payment")
    photograph(visitor, "approval")


def test_lost_answer_is_said(visitor: Visitor) -> None:
    visitor.subscribe()
    visitor.open("/cancel")
    visitor.see("Confirm Downgrade")
    visitor.context.set_offline(True)
    visitor.press("Confirm Downgrade")
    visitor.see("The connection was lost before the answer came.")
    photograph(visitor, "answer-lost")


def test_scheduled_end_and_pause(visitor: Visitor) -> None:
    visitor.subscribe()
    _, subscription = visitor.ids()
    subscriptions = visitor.deployment.stripe.v1.subscriptions
    subscriptions.update(subscription, {"cancel_at_period_end": True})
    subscriptions.update(subscription, {"pause_collection": {"behavior": "keep_as_draft"}})
    eventually(lambda: bool(visitor.details()["paused"] and visitor.details()["ends_at"]))
    visitor.open()
    visitor.see("Your plan is scheduled to end")
    photograph(visitor, "ends-and-paused")


def test_enterprise_states(visitor: Visitor) -> None:
    visitor.deployment.enrol(visitor.organization)
    visitor.move_to_enterprise()
    visitor.open()
    visitor.see("Enterprise")
    photograph(visitor, "enterprise")
    visitor.go("/payment-methods", "Payment methods")
    photograph(visitor, "enterprise-methods")
    visitor.go("/plans", "Change your plan")
    photograph(visitor, "enterprise-plans")


def test_refused_states(visitor: Visitor) -> None:
    visitor.subscribe()
    visitor.deployment.fault("error_before", method="POST", path="/v1/invoices/create_preview", times=10)
    visitor.open("/cancel")
    photograph(visitor, "stripe-away")
    visitor.deployment.end_faults()
    inquiry = {"name": "Kim", "email": "kim@example.com", "company": "Example Ltd", "message": "We grow."}
    for _ in range(5):
        visitor.deployment.ok(visitor.organization, "POST", "/sales-inquiries", **inquiry)
    visitor.go("/sales", "Contact Sales")
    visitor.press("Send")
    visitor.page.locator(".fault").wait_for()
    photograph(visitor, "form-fault")
    visitor.fill(**inquiry)
    visitor.press("Send")
    visitor.see("There were too many requests.")
    photograph(visitor, "too-many-requests")


def test_price_changed_in_the_meantime(visitor: Visitor) -> None:
    visitor.subscribe()
    visitor.open("/plans/plus")
    visitor.page.get_by_label("Services").fill("3")
    visitor.page.get_by_label("Services").press("Tab")
    visitor.see("You pay $0.00 today.")
    visitor.give_price("Plus", 30_000)
    eventually(lambda: visitor.details()["price"]["unit_amount"] == 30_000)
    visitor.press("Confirm change")
    visitor.see("Your plan or a price has changed in the meantime.")
    photograph(visitor, "price-changed")


def test_database_away_is_said_and_overcome(visitor: Visitor, request: pytest.FixtureRequest) -> None:
    visitor.subscribe()
    visitor.open()
    with without_database(visitor, request.config.stash[POSTGRES]):
        visitor.follow("Billing history")
        visitor.see("Our database cannot be reached at the moment. Nothing was changed.")
        photograph(visitor, "database-away")
    visitor.press("Try again")
    visitor.see("Changes of your plan")


def test_failed_renewal_is_paid_on_the_page(visitor: Visitor) -> None:
    visitor.subscribe()
    visitor.use_card("pm_card_chargeCustomerFail")
    advance(visitor, 28.5)
    eventually(lambda: visitor.details()["upcoming_charges"] is not None)
    calculated = visitor.details()["upcoming_charges"]
    visitor.open()
    visitor.see("calculated on")
    assert money(calculated["amount_due"]) in visitor.amounts()
    photograph(visitor, "three-days-ahead")
    advance(visitor, 3.5)
    eventually(lambda: visitor.details()["standing"] == "grace")
    [amount, *_] = invoiced(visitor.deployment.stripe, visitor.ids()[0], ["amount_remaining"]) - {"$0.00"}
    visitor.open()
    visitor.see(f"We could not collect {amount}")
    photograph(visitor, "payment-overdue")
    visitor.follow("Pay now")
    visitor.press(f"Pay {amount}")
    visitor.see("Your card was declined.")
    photograph(visitor, "payment-declined")
    visitor.use_card("pm_card_visa")
    visitor.open("/history")
    visitor.press(f"Pay {amount}")
    visitor.see(f"Thank you. {amount} is paid.")
    photograph(visitor, "payment-paid")
    eventually(lambda: visitor.details()["standing"] == "good")


def test_suspended_organization_is_told_how_to_pay(visitor: Visitor) -> None:
    visitor.subscribe()
    visitor.use_card("pm_card_chargeCustomerFail")
    settings = {"after_retries": "unpaid"}
    assert requests.post(f"{visitor.deployment.sandbox_url}/_sandbox/settings", json=settings, timeout=10).ok
    for days in (32, 4, 6, 8):
        advance(visitor, days)
    eventually(lambda: visitor.details()["standing"] == "suspended")
    visitor.open()
    visitor.see("Your organization is limited to Free until it is paid.")
    photograph(visitor, "suspended")
