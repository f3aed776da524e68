"""Each state that a person can meet, with a screenshot in light and dark, narrow and wide.

The screenshots go to the folder ``.screenshots``. These tests move the sandbox's clock, so they run alone.
"""

from pathlib import Path

import pytest
import requests
from playwright.sync_api import ViewportSize

from tests.support.visitor import Visitor
from tests.support.wait import eventually

pytestmark = pytest.mark.long

FOLDER = Path(__file__).parents[2] / ".screenshots"
SIZES = {"narrow": ViewportSize(width=360, height=740), "wide": ViewportSize(width=1280, height=900)}
DAY = 86_400


def photograph(visitor: Visitor, name: str) -> None:
    """Write a screenshot for each size and color scheme."""
    FOLDER.mkdir(exist_ok=True)
    for size, viewport in SIZES.items():
        visitor.page.set_viewport_size(viewport)
        visitor.page.emulate_media(color_scheme="light")
        visitor.page.screenshot(path=FOLDER / f"{name}-{size}-light.png", full_page=True)
        visitor.page.emulate_media(color_scheme="dark")
        visitor.page.screenshot(path=FOLDER / f"{name}-{size}-dark.png", full_page=True)


def advance(visitor: Visitor, days: float) -> None:
    """Move the sandbox's clock ahead."""
    url = f"{visitor.deployment.sandbox_url}/_sandbox/clock"
    assert requests.post(url, json={"advance": days * DAY}, timeout=30).ok


def test_session_states(visitor: Visitor) -> None:
    visitor.open()
    photograph(visitor, "new")
    visitor.open(scopes=("billing:read",))
    photograph(visitor, "read-only")
    visitor.open(scopes=())
    photograph(visitor, "forbidden")
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
    visitor.subscribe()
    for view, heading, name in (
        ("/", "Your plan", "plus"),
        ("/plans", "Change your plan", "plans"),
        ("/cancel", "Cancel your plan", "cancel"),
        ("/payment-methods", "Payment methods", "methods"),
        ("/payment-methods/new", "Add a payment method", "card"),
        ("/details", "Billing details", "details"),
        ("/sales", "Contact Sales", "sales"),
    ):
        visitor.go(view, heading)
        photograph(visitor, name)


def test_failed_renewal_is_paid_on_the_page(visitor: Visitor) -> None:
    visitor.subscribe()
    visitor.use_card("pm_card_chargeCustomerFail")
    advance(visitor, 28.5)
    eventually(lambda: visitor.details()["upcoming_charges"] is not None)
    upcoming = visitor.details()["upcoming_charges"]
    visitor.open()
    visitor.see("calculated on")
    assert f"${upcoming['amount_due'] / 100:,.2f}" in visitor.amounts()
    photograph(visitor, "three-days-ahead")
    advance(visitor, 3.5)
    eventually(lambda: visitor.details()["standing"] == "grace")
    [owed, *_] = visitor.deployment.ok(visitor.organization, "GET", "/invoices")["data"]
    amount = f"${owed['amount_remaining'] / 100:,.2f}"
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
    eventually(lambda: visitor.details()["standing"] == "good")


def test_enterprise_is_changed_by_sales_only(visitor: Visitor) -> None:
    visitor.deployment.enrol(visitor.organization)
    visitor.move_to_enterprise()
    visitor.open()
    visitor.see("Enterprise")
    photograph(visitor, "enterprise")
    visitor.go("/payment-methods", "Payment methods")
    visitor.see("Our sales team manages the payments")
    photograph(visitor, "enterprise-methods")
    visitor.follow("Contact Sales")
    visitor.fill(name="Kim", email="kim@example.com", message="We leave.")
    visitor.press("Send")
    visitor.see("Thank you. Our sales team has your message")


def test_stripe_away_is_said(visitor: Visitor) -> None:
    visitor.subscribe()
    visitor.deployment.fault("error_before", method="POST", path="/v1/invoices/create_preview", times=10)
    visitor.open("/cancel")
    photograph(visitor, "stripe-away")
    assert visitor.page.get_by_role("alert").count() == 1
