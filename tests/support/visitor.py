"""A person who uses the Billing page: what they open, click, type and read."""

import re
from functools import partial
from urllib.parse import quote

import requests
from playwright.sync_api import BrowserContext, Locator, Page

from gateway.auth import SCOPES, issue_development_token
from tests.support.api import take_card
from tests.support.deployment import Deployment
from tests.support.json_types import Json
from tests.support.wait import eventually

AMOUNT = re.compile(r"-?\$[\d,]+\.\d\d")
NAME = "Example Ltd"
GOOD, DECLINED, ASKING = "4242 4242 4242 4242", "4000 0000 0000 0002", "4000 0025 0000 3155"


class Visitor:
    """One window, and the organization whose administrator uses it."""

    def __init__(self, deployment: Deployment, context: BrowserContext, organization: str) -> None:
        self.deployment, self.context, self.organization = deployment, context, organization
        self.errors: list[str] = []
        self.page = self.new_page()

    def new_page(self) -> Page:
        """Open another tab."""
        page = self.context.new_page()
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda message: self._note(message.text))
        return page

    def _note(self, text: str) -> None:
        if "Content Security Policy" in text:
            self.errors.append(text)

    def token(self, scopes: tuple[str, ...] = SCOPES) -> str:
        """Return a token of the organization."""
        gateway = self.deployment.gateway
        return issue_development_token(
            gateway.config, self.organization, gateway.clock(), scopes=scopes, name="Example Ltd"
        )

    def open(self, view: str = "/", scopes: tuple[str, ...] = SCOPES) -> None:
        """Open the page as the Konnect UI does, with a token in the fragment."""
        address = f"http://127.0.0.1:{self.deployment.port}/billing"
        self.page.goto(f"{address}#token={self.token(scopes)}&page={quote(view)}")
        self.heading().wait_for()

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

    def enter_card(self, number: str = GOOD) -> None:
        """Type a card and continue."""
        self.fill(number=number, expiry="12 / 34", cvc="123")
        self.press("Continue")

    def amounts(self) -> list[str]:
        """Return all amounts that the page shows."""
        return AMOUNT.findall(self.page.locator("main").inner_text())

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
        token = issue_development_token(gateway.config, None, gateway.clock(), scopes=("usage:write",))
        event: Json = {"id": f"{self.organization}.{meter}", "organization_id": self.organization, "meter": meter}
        event |= {"quantity": quantity, "occurred_at": gateway.clock().isoformat()}
        address = f"http://127.0.0.1:{self.deployment.port}/v1/usage"
        headers = {"Authorization": f"Bearer {token}"}
        answer = requests.post(address, json={"events": [event]}, headers=headers, timeout=10)
        assert answer.json()["new"], answer.text

    def use_card(self, template: str) -> None:
        """Add one of Stripe's test cards without the page, and make it the default."""
        take_card(partial(self.deployment.ok, self.organization), self.deployment.stripe, template)

    def move_to_enterprise(self) -> None:
        """Move the organization to Enterprise in Stripe's dashboard, as sales does. Wait until the gateway knows."""
        stripe = self.deployment.stripe.v1
        query = "SELECT subscription_id FROM organization_plans WHERE organization_id = %s"
        [(subscription_id,)] = self.deployment.rows(query, self.organization)
        [product] = [each for each in stripe.products.list().data if each.name == "Enterprise"]
        price = stripe.prices.create(
            {"product": product.id, "currency": "usd", "unit_amount": 900_000, "recurring": {"interval": "month"}}
        )
        item = stripe.subscriptions.retrieve(subscription_id).items.data[0].id
        stripe.subscriptions.update(subscription_id, {"items": [{"id": item, "price": price.id}]})
        eventually(lambda: self.details()["plan"] == "enterprise")
