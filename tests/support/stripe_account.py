"""The official SDK, and shorthands over its calls, for the sandbox's tests."""

from typing import Any

import stripe

from gateway.sandbox import Sandbox
from tests.support.clock import MONTH, START
from tests.support.json_types import Json
from tests.support.wait import poll


def client(
    sandbox: Sandbox, key: str = "sk_test_sandbox", http_client: stripe.HTTPClient | None = None
) -> stripe.StripeClient:
    """Return the official SDK's client, which talks to the sandbox only."""
    addresses: Any = {
        "api": sandbox.url,
        "connect": sandbox.url,
        "files": sandbox.url,
        "meter_events": sandbox.url,
    }
    return stripe.StripeClient(key, base_addresses=addresses, max_network_retries=0, http_client=http_client)


def plain(obj: stripe.StripeObject) -> Json:
    """Return the object as the JSON that the SDK received."""
    found: Json = obj.to_dict(for_json=True)
    return found


class StripeAccount:
    """A test-mode account, with shorthands over the SDK's calls."""

    def __init__(self, sandbox: Sandbox, http_client: stripe.HTTPClient | None = None) -> None:
        self.client = client(sandbox, http_client=http_client)
        self.v1 = self.client.v1

    def price(self, amount: int, name: str = "Plus", interval: str = "month", **more: Any) -> stripe.Price:
        product = self.v1.products.create({"name": name})
        params: Any = {
            "product": product.id,
            "unit_amount": amount,
            "currency": "usd",
            "recurring": {"interval": interval},
        }
        return self.v1.prices.create(params | more)

    def meter(self, event_name: str = "api_calls", formula: str = "sum", **more: Any) -> stripe.billing.Meter:
        params: Any = {
            "display_name": event_name.replace("_", " "),
            "event_name": event_name,
            "default_aggregation": {"formula": formula},
        }
        return self.v1.billing.meters.create(params | more)

    def metered(self, meter: str, name: str = "API calls", **more: Any) -> stripe.Price:
        product = self.v1.products.create({"name": name})
        recurring = {"interval": "month", "usage_type": "metered", "meter": meter}
        params: Any = {"product": product.id, "currency": "usd", "recurring": recurring}
        return self.v1.prices.create(params | ({} if "tiers" in more else {"unit_amount": 10}) | more)

    def use(
        self, customer: str, value: object, event_name: str = "api_calls", **more: Any
    ) -> stripe.billing.MeterEvent:
        payload = {"stripe_customer_id": customer, "value": str(value)}
        params: Any = {"event_name": event_name, "payload": payload}
        return self.v1.billing.meter_events.create(params | more)

    def customer(self, card: str | None = "pm_card_visa") -> stripe.Customer:
        customer = self.v1.customers.create({"email": "owner@example.test"})
        if card is None:
            return customer
        return self.give_card(customer.id, card)

    def give_card(self, customer: str, card: str) -> stripe.Customer:
        attached = self.v1.payment_methods.attach(card, {"customer": customer})
        return self.v1.customers.update(customer, {"invoice_settings": {"default_payment_method": attached.id}})

    def subscribe(self, customer: str, price: str, quantity: int = 1, **more: Any) -> stripe.Subscription:
        params: Any = {"customer": customer, "items": [{"price": price, "quantity": quantity}]}
        return self.v1.subscriptions.create(params | more)

    def swap(
        self, subscription: stripe.Subscription, price: str, quantity: int = 1, **more: Any
    ) -> stripe.Subscription:
        item = subscription.items.data[0].id
        params: Any = {"items": [{"id": item, "price": price, "quantity": quantity}]}
        return self.v1.subscriptions.update(subscription.id, params | more)

    def pending(self, customer: str) -> list[stripe.InvoiceItem]:
        return self.v1.invoice_items.list({"customer": customer, "pending": True}).data

    def invoice(self, subscription: stripe.Subscription) -> stripe.Invoice:
        assert isinstance(subscription.latest_invoice, str)
        return self.v1.invoices.retrieve(subscription.latest_invoice)

    def again(self, subscription: stripe.Subscription) -> stripe.Subscription:
        """Retrieve the subscription in its current state."""
        return self.v1.subscriptions.retrieve(subscription.id)

    def test_clock(self, at: int = START) -> str:
        """Create a test clock frozen at ``at`` and return its id."""
        return self.v1.test_helpers.test_clocks.create({"frozen_time": at}).id

    def on_clock(self, clock: str, card: str | None = "pm_card_visa") -> stripe.Customer:
        """Create a customer on the test clock."""
        customer = self.v1.customers.create({"test_clock": clock})
        return self.give_card(customer.id, card) if card else customer

    def advance(self, clock: str, to: int) -> None:
        """Advance the clock to ``to`` (Unix seconds), a month at a time, and wait until it is ready."""
        while (now := self.standing(clock).frozen_time) < to:
            self.v1.test_helpers.test_clocks.advance(clock, {"frozen_time": min(to, now + MONTH)})

    def standing(self, clock: str) -> stripe.test_helpers.TestClock:
        """Return the clock once it is ready. Stripe refuses to advance a clock that is still advancing."""
        retrieve = self.v1.test_helpers.test_clocks.retrieve
        found = poll(lambda: retrieve(clock), lambda seen: seen.status != "advancing", interval=0.002)
        assert found.status == "ready"
        return found

    def events(self, **filters: Any) -> list[stripe.Event]:
        """List up to 100 events, oldest first."""
        params: Any = {"limit": 100, **filters}
        return self.v1.events.list(params).data[::-1]
