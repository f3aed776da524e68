"""A person who uses the Billing page: what they open, click, type and read."""

import re
from datetime import timedelta
from functools import partial
from typing import Any
from urllib.parse import quote

import requests
from playwright.sync_api import Locator, Page

from gateway.auth import SCOPES, issue_development_token
from tests.support.api import take_card
from tests.support.deployment import Deployment
from tests.support.json_types import Json
from tests.support.shown_amounts import money
from tests.support.wait import eventually, poll

AMOUNT = re.compile(r"-?\$[\d,]+\.\d\d")
NAME = "Example Ltd"
GOOD, DECLINED, ASKING = "4242 4242 4242 4242", "4000 0000 0000 0002", "4000 0025 0000 3155"
LONG_AGO = timedelta(days=-2)
FOCUSED = "() => { const {activeElement: e} = document; return [e.getAttribute('aria-label') ?? e.innerText, e.name]; }"


class Visitor:
    """One tab, and the organization whose administrator uses it."""

    def __init__(self, deployment: Deployment, page: Page, organization: str) -> None:
        self.deployment, self.page, self.organization = deployment, page, organization
        self.context = page.context

    def another_tab(self) -> "Visitor":
        """Return the same person in another tab."""
        return Visitor(self.deployment, self.context.new_page(), self.organization)

    def token(self, scopes: tuple[str, ...] = SCOPES, age: timedelta = timedelta()) -> str:
        """Return a token of the organization."""
        gateway = self.deployment.gateway
        return issue_development_token(
            gateway.config, self.organization, gateway.clock() + age, scopes=scopes, name="Example Ltd"
        )

    def open(self, view: str = "/", scopes: tuple[str, ...] = SCOPES, age: timedelta = timedelta()) -> None:
        """Open the page as the Konnect UI does, with a token in the fragment."""
        address = f"http://127.0.0.1:{self.deployment.port}/billing"
        self.page.goto(f"{address}#token={self.token(scopes, age)}&page={quote(view)}")
        self.page.locator("main:not([aria-busy])").wait_for()

    def go(self, view: str, heading: str) -> None:
        """Go to another view, and wait until it is shown."""
        self.page.evaluate("(view) => { location.hash = view; }", view)
        self.heading(heading).wait_for()

    def heading(self, text: str | None = None) -> Locator:
        """Return the view's heading."""
        return self.page.get_by_role("heading", level=1, name=text)

    def see(self, text: str) -> None:
        """Wait until the page shows the text."""
        self.page.get_by_text(text).first.wait_for()

    def press(self, name: str) -> None:
        """Press a button."""
        self.page.get_by_role("button", name=name, exact=True).click()

    def follow(self, name: str) -> None:
        """Follow a link."""
        self.page.get_by_role("link", name=name, exact=True).first.click()

    def tab_to(self, name: str) -> None:
        """Press the tab key until the focus is on the control or field of that name."""
        for _ in range(40):
            self.page.keyboard.press("Tab")
            if name in self.page.evaluate(FOCUSED):
                return
        raise AssertionError(f"the tab key does not reach {name}")

    def enter_on(self, name: str) -> None:
        """Go to a control with the tab key, and press Enter."""
        self.tab_to(name)
        self.page.keyboard.press("Enter")

    def type(self, **values: str) -> None:
        """Type into fields by their names, with the keyboard alone."""
        for name, value in values.items():
            self.tab_to(name)
            self.page.keyboard.type(value)

    def fill(self, **values: str) -> None:
        """Fill fields by the names that they have in the form."""
        for name, value in values.items():
            field = self.page.locator(f"main [name={name}]")
            if name == "country":
                field.select_option(value)
            else:
                field.fill(value)

    def enter_details(self) -> None:
        """Fill in the billing details and continue."""
        self.heading().wait_for()
        self.fill(
            name="Example Ltd", email="billing@example.com", line1="1 Main Street", city="Springfield", country="US"
        )
        self.press("Continue")

    def fill_card(self, number: str = GOOD) -> None:
        """Type a card."""
        self.fill(number=number, expiry="12 / 34", cvc="123")

    def enter_card(self, number: str = GOOD) -> None:
        """Type a card and continue."""
        self.fill_card(number)
        self.press("Continue")

    def amounts(self, part: str = "main") -> list[str]:
        """Return all amounts that the page, or a part of it, shows."""
        return AMOUNT.findall(self.page.locator(part).inner_text())

    def ids(self) -> tuple[str, str]:
        """Return the ids of the organization's customer and subscription at Stripe."""
        query = (
            "SELECT stripe_customer_id, subscription_id FROM organizations"
            " JOIN organization_plans ON organization_id = id WHERE id = %s"
        )
        [(customer, subscription)] = self.deployment.rows(query, self.organization)
        return str(customer), str(subscription)

    def details(self) -> Json:
        """Return Plan Details."""
        return self.deployment.ok(self.organization, "GET", "/subscription")

    def subscribe(self) -> None:
        """Put the organization on Plus without the page."""
        self.deployment.enrol(self.organization)
        self.deployment.ok(self.organization, "PATCH", "/subscription", plan="plus")

    def use(self, meter: str, quantity: int) -> None:
        """Report usage, as Konnect's own services do."""
        gateway = self.deployment.gateway
        event: Json = {"id": f"{self.organization}.{meter}", "organization_id": self.organization, "meter": meter}
        event |= {"quantity": quantity, "occurred_at": gateway.clock().isoformat()}
        assert self.call_as_service("POST", "/usage", events=[event])["new"]

    def call_as_service(self, method: str, path: str, **body: Any) -> Json:
        """Send a request as Konnect's own services do."""
        gateway = self.deployment.gateway
        token = issue_development_token(gateway.config, None, gateway.clock(), scopes=("usage:write",))
        address = f"http://127.0.0.1:{self.deployment.port}/v1{path}"
        answer = requests.request(method, address, json=body, headers={"Authorization": f"Bearer {token}"}, timeout=10)
        assert answer.status_code == 202, answer.text
        found: Json = answer.json()
        return found

    def count_services(self, value: int) -> None:
        """Report how many services the organization has, as Konnect's own services do."""
        body = {"organization_id": self.organization, "meter": "services", "value": value}
        self.call_as_service("PUT", "/usage/levels", **body)

    def use_card(self, template: str) -> None:
        """Add one of Stripe's test cards without the page, and make it the default."""
        take_card(partial(self.deployment.ok, self.organization), self.deployment.stripe, template)

    def begin_bank_debit(self) -> str:
        """Pay for another service by a bank debit, which takes days, in Stripe's dashboard. Return the amount.

        Wait until the gateway knows.
        """
        self.use_card("pm_usBankAccount_success")
        stripe = self.deployment.stripe.v1
        _, subscription = self.ids()
        item = stripe.subscriptions.retrieve(subscription).items.data[0].id
        stripe.subscriptions.update(
            subscription, {"items": [{"id": item, "quantity": 2}], "proration_behavior": "always_invoice"}
        )
        invoices = poll(
            lambda: self.deployment.ok(self.organization, "GET", "/invoices")["data"],
            lambda found: any(each["payment_under_way"] for each in found),
        )
        eventually(lambda: self.details()["quantity"] == 2)
        return money(invoices[0]["amount_remaining"])

    def move_to_enterprise(self) -> None:
        """Move the organization to Enterprise in Stripe's dashboard, as sales does. Wait until the gateway knows."""
        self.give_price("Enterprise", 900_000)
        eventually(lambda: self.details()["plan"] == "enterprise")

    def give_price(self, plan: str, amount: int) -> None:
        """Give the organization a price of its own in Stripe's dashboard, in cents a month."""
        stripe = self.deployment.stripe.v1
        _, subscription = self.ids()
        [product] = [each for each in stripe.products.list().data if each.name == plan]
        price = stripe.prices.create(
            {"product": product.id, "currency": "usd", "unit_amount": amount, "recurring": {"interval": "month"}}
        )
        item = stripe.subscriptions.retrieve(subscription).items.data[0].id
        stripe.subscriptions.update(subscription, {"items": [{"id": item, "price": price.id}]})
