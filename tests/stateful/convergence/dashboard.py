"""The rules for changes at Stripe that bypass the gateway, by people or by time."""

from typing import Any

import requests
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from tests.stateful.convergence.stepped_gateway import SteppedGateway
from tests.support.clock import DAY
from tests.support.json_types import Json

ORGANIZATIONS = ("org_1", "org_2")
WHOSE = st.sampled_from(["org_1", "org_1", "org_2", "org_2", "org_3"])
"""The third organization appears later, if at all."""
PAUSES = st.sampled_from([0, 0, 0, 0, 1, 2, 3, 30])
"""Seconds until the next step. Most steps happen in the same second."""
CARD_REQUIRING_ACTION = "pm_card_authenticationRequired"
CARDS = st.sampled_from(["pm_card_visa", "pm_card_mastercard", "pm_card_chargeCustomerFail", CARD_REQUIRING_ACTION])
AFTER = st.sampled_from(["canceled", "unpaid", "past_due"])
"""What Stripe does with a subscription after the last failed retry."""
SUBSCRIPTION_EDITS: Any = st.one_of(
    st.tuples(st.just("quantity"), st.integers(1, 3)),
    st.tuples(st.just("price"), st.sampled_from(["free", "plus", "enterprise", "unknown"])),
    st.tuples(st.just("cancel_at_period_end"), st.booleans()),
    st.tuples(st.just("metadata"), st.sampled_from(["a", "b", ""])),
    st.tuples(st.just("pause_collection"), st.sampled_from(["void", "keep_as_draft", ""])),
    st.tuples(st.just("second item"), st.booleans()),
)
CUSTOMER_EDITS: Any = st.one_of(
    st.tuples(st.just("name"), st.sampled_from(["Acme", "Zenith", ""])),
    st.tuples(st.just("email"), st.sampled_from(["a@example.test", "b@example.test"])),
    st.tuples(st.just("balance"), st.sampled_from([0, -500])),
)


class Dashboard(RuleBasedStateMachine):
    """Edits and payments at Stripe, and the passing of time."""

    stage: SteppedGateway
    prices: dict[str, str]

    @property
    def v1(self) -> Any:
        """Return the SDK, untyped because the rules build parameters as plain dicts."""
        return self.stage.account.v1

    def subscriptions(self, organization: str) -> list[Json]:
        """Return the organization's subscriptions that have not ended, newest first."""
        customer = self.customers.get(organization)
        return list(self.stage.read("/v1/subscriptions", customer=customer)) if customer else []

    @property
    def customers(self) -> dict[str, str]:
        """Return the customer of each organization, unless it was deleted."""
        rows = self.stage.read("/v1/customers")
        return {name: each["id"] for each in rows if (name := each["metadata"].get("organization_id"))}

    @rule(whose=WHOSE, edits=st.lists(SUBSCRIPTION_EDITS, min_size=1, max_size=3), pause=PAUSES)
    def edit_subscription(self, whose: str, edits: list[tuple[str, Any]], pause: int) -> None:
        """Edit the newest subscription, often several times within a second."""
        for what, value in edits:
            self.edit(whose, what, value)
        self.stage.wait(pause)

    def edit(self, whose: str, what: str, value: Any) -> None:
        """Edit the newest live subscription once."""
        if not (found := self.subscriptions(whose)):
            return
        items = found[0]["items"]["data"]
        params: Json = {what: value}
        if what == "quantity":
            params = {"items": [{"id": items[0]["id"], "quantity": value}]}
        elif what == "price":
            params = {"items": [{"id": items[0]["id"], "price": self.prices[value], "quantity": 1}]}
        elif what == "metadata":
            params = {"metadata": {"note": value}}
        elif what == "pause_collection":
            params = {what: {"behavior": value} if value else ""}
        elif what == "second item" and len(items) == 1:
            params = {"items": [{"price": self.prices["second"]}]}
        elif what == "second item":
            params = {"items": [{"id": items[-1]["id"], "deleted": True}]}
        self.stage.allowed(lambda: self.v1.subscriptions.update(found[0]["id"], params))

    @rule(whose=WHOSE, back=st.booleans(), pause=PAUSES)
    def there_and_back(self, whose: str, pause: int, *, back: bool) -> None:
        """Reach the same state twice in one second, so that its content does not show the order."""
        for quantity in [2, 3, 2] if back else [2, 3, 1, 2]:
            self.edit(whose, "quantity", quantity)
        self.stage.wait(pause)

    @rule(whose=WHOSE, how=st.sampled_from(["cancel", "cancel", "another", "pause", "resume"]), pause=PAUSES)
    def end_or_begin(self, whose: str, how: str, pause: int) -> None:
        found = self.subscriptions(whose)
        customer = self.customers.get(whose)
        if how == "another" and customer and len(found) < 2:
            params = {"customer": customer, "items": [{"price": self.prices["enterprise"]}]}
            self.stage.allowed(lambda: self.v1.subscriptions.create(params))
        elif found and how in ("cancel", "pause", "resume"):
            self.stage.allowed(lambda: getattr(self.v1.subscriptions, how)(found[-1]["id"]))
        self.stage.wait(pause)

    @rule(whose=WHOSE, edits=st.lists(CUSTOMER_EDITS, min_size=1, max_size=3), pause=PAUSES)
    def edit_customer(self, whose: str, edits: list[tuple[str, Any]], pause: int) -> None:
        customer = self.customers.get(whose)
        for what, value in edits if customer else []:
            params = {what: value}
            self.stage.allowed(lambda params=params: self.v1.customers.update(customer, params))  # type: ignore[misc]  # a default
        self.stage.wait(pause)

    @rule(whose=WHOSE, card=CARDS, pause=PAUSES)
    def change_card(self, whose: str, card: str, pause: int) -> None:
        if customer := self.customers.get(whose):
            attached = self.v1.payment_methods.attach(card, {"customer": customer})
            params = {"invoice_settings": {"default_payment_method": attached.id}}
            self.v1.customers.update(customer, params)
        self.stage.wait(pause)

    @rule(whose=WHOSE, which=st.integers(0, 3), pause=PAUSES)
    def detach_card(self, whose: str, which: int, pause: int) -> None:
        if customer := self.customers.get(whose):
            cards = list(self.stage.read(f"/v1/customers/{customer}/payment_methods"))
            if cards:
                self.v1.payment_methods.detach(cards[which % len(cards)]["id"])
        self.stage.wait(pause)

    @precondition(lambda self: self.closing)
    @rule(whose=WHOSE, pause=PAUSES)
    def delete_customer(self, whose: str, pause: int) -> None:
        if customer := self.customers.get(whose):
            self.v1.customers.delete(customer)
        self.stage.wait(pause)

    @property
    def closing(self) -> bool:
        """Return whether the machine may delete customers. An early deletion would leave little to test."""
        return len(self.stage.events) > 60

    @rule(
        what=st.sampled_from(["rename", "archive", "archive price", "unmap", "map", "new price", "rename price"]),
        pause=PAUSES,
    )
    def edit_catalogue(self, what: str, pause: int) -> None:
        plus = self.stage.retrieve(f"/v1/prices/{self.prices['plus']}")
        product = plus["product"]
        now = self.v1.products.retrieve(product)
        if what == "rename":
            self.v1.products.update(product, {"name": f"{now.name}+"})
        elif what == "archive":
            self.v1.products.update(product, {"active": not now.active})
        elif what == "unmap":
            self.v1.products.update("konnect_enterprise", {"metadata": {"konnect_plan": ""}})
        elif what == "map":
            self.v1.products.update("konnect_enterprise", {"metadata": {"konnect_plan": "enterprise"}})
        elif what == "archive price":
            self.v1.prices.update(plus["id"], {"active": not plus["active"]})
        elif what == "new price":
            params = {"product": product, "currency": "usd", "unit_amount": 100, "recurring": {"interval": "month"}}
            self.stage.allowed(lambda: self.v1.prices.create(params))
        else:
            self.v1.prices.update(self.prices["enterprise"], {"lookup_key": f"enterprise_{len(self.stage.events)}"})
        self.stage.wait(pause)

    @rule(
        whose=WHOSE,
        which=st.integers(0, 3),
        how=st.sampled_from(
            ["pay", "elsewhere", "void", "finalize", "uncollectible", "write", "write and delete", "write and delete"]
        ),
        pause=PAUSES,
    )
    def invoice(self, whose: str, which: int, how: str, pause: int) -> None:
        """Create or settle an invoice by hand."""
        v1, customer = self.v1.invoices, self.customers.get(whose)
        if customer and how.startswith("write"):
            draft = v1.create({"customer": customer})
            if how == "write and delete":
                v1.delete(draft.id)
        elif customer:
            rows = self.stage.read("/v1/invoices", customer=customer)
            found = [each["id"] for each in rows if each["status"] in ("draft", "open", "uncollectible")]
            calls: Json = {
                "pay": v1.pay,
                "elsewhere": lambda invoice: v1.pay(invoice, {"paid_out_of_band": True}),
                "void": v1.void_invoice,
                "finalize": v1.finalize_invoice,
                "uncollectible": v1.mark_uncollectible,
            }
            if found:
                self.stage.allowed(lambda: calls[how](found[which % len(found)]))
        self.stage.wait(pause)

    @rule(whose=WHOSE, after=AFTER)
    def leave_unpaid(self, whose: str, after: str) -> None:
        """Let the renewal and its retry fail, so that Stripe gives up."""
        self.configure(after)
        self.change_card(whose, "pm_card_chargeCustomerFail", 0)
        self.edit(whose, "price", "plus")
        for days in (31, 2):
            self.stage.wait(days * DAY)

    @rule(after=AFTER)
    def configure(self, after: str) -> None:
        wanted = {"retry_days": [1], "after_retries": after}
        assert requests.post(f"{self.stage.sandbox.url}/_sandbox/settings", json=wanted, timeout=5).status_code == 200

    @rule(seconds=st.sampled_from([1, 3, 3600, DAY, 3 * DAY, 28 * DAY, 31 * DAY]))
    def wait(self, seconds: int) -> None:
        self.stage.wait(seconds)
