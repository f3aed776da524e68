"""The rules for what real accounts hold: arrangements with sales, bank debits, and what other programs make."""

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule

from tests.stateful.convergence.dashboard import PAUSES, WHOSE, Dashboard
from tests.support.clock import DAY
from tests.support.json_types import Json

NEWCOMER = "org_3"
"""An organization whose customer another program makes."""
BANK_DEBITS = ("pm_usBankAccount_success", "pm_usBankAccount_insufficientFunds", "pm_sepaDebit")
METHODS: Any = st.tuples(
    st.sampled_from(["pm_card_visa", "pm_card_amex", "pm_card_chargeCustomerFail", "link", *BANK_DEBITS]),
    st.sampled_from(["subscription", "customer", "neither"]),
)
TERMS: Any = st.sampled_from(
    [
        "own method cleared",
        "sent",
        "charged",
        "percent off",
        "once off",
        "no discount",
        "taxed",
        "untaxed",
        "ends",
        "goes on",
        "paused until",
        "resumed",
    ]
)
OTHERS = st.sampled_from(["coaching", "plus", "plus", "enterprise"])


class Arrangements(Dashboard):
    """What sales and other programs arrange at Stripe."""

    @rule(whose=WHOSE, how=METHODS, pause=PAUSES)
    def put_on_file(self, whose: str, how: tuple[str, str], pause: int) -> None:
        """Put a payment method on file, and name it where Checkout or the dashboard does."""
        (template, place), customer = how, self.customers.get(whose)
        if customer:
            method = self.v1.payment_methods.attach(self.template(template), {"customer": customer}).id
            if place == "customer":
                self.v1.customers.update(customer, {"invoice_settings": {"default_payment_method": method}})
            elif place == "subscription":
                self.arrange_on_newest(whose, {"default_payment_method": method})
        self.stage.wait(pause)

    def template(self, name: str) -> str:
        """Return what can be attached. Link has no token of its own."""
        if name != "link":
            return name
        email = {"email": "ada@example.test"}
        return str(self.v1.payment_methods.create({"type": "link", "billing_details": email}).id)

    @rule(whose=WHOSE, term=TERMS, pause=PAUSES)
    def arrange(self, whose: str, term: str, pause: int) -> None:
        """Arrange a term on the newest subscription."""
        self.arrange_on_newest(whose, self.params_of(term))
        self.stage.wait(pause)

    def arrange_on_newest(self, whose: str, params: Json) -> None:
        if found := self.subscriptions(whose):
            self.stage.allowed(lambda: self.v1.subscriptions.update(found[0]["id"], params))

    def params_of(self, term: str) -> Json:
        """Return the parameters of a term."""
        now = int(self.stage.clock())
        if term in ("percent off", "once off"):
            offer: Any = {"percent_off": 25, "duration": "forever"}
            if term == "once off":
                offer = {"amount_off": 300, "currency": "usd", "duration": "once"}
            return {"discounts": [{"coupon": self.v1.coupons.create(offer).id}]}
        if term == "taxed":
            rate = self.v1.tax_rates.create({"display_name": "VAT", "percentage": 19.0, "inclusive": False})
            return {"default_tax_rates": [rate.id]}
        simple: dict[str, Json] = {
            "own method cleared": {"default_payment_method": ""},
            "sent": {"collection_method": "send_invoice", "days_until_due": 30},
            "charged": {"collection_method": "charge_automatically"},
            "no discount": {"discounts": ""},
            "untaxed": {"default_tax_rates": ""},
            "ends": {"cancel_at": now + 40 * DAY},
            "goes on": {"cancel_at": ""},
            "paused until": {"pause_collection": {"behavior": "keep_as_draft", "resumes_at": now + 40 * DAY}},
            "resumed": {"pause_collection": ""},
        }
        return simple[term]

    @rule(whose=WHOSE, what=OTHERS, sent=st.booleans(), pause=PAUSES)
    def subscribe_elsewhere(self, whose: str, what: str, pause: int, *, sent: bool) -> None:
        """Subscribe an organization's customer to another product, or to a plan once more."""
        customer = self.customers.get(whose)
        if customer and len(self.subscriptions(whose)) < 4:
            self.subscribe(customer, what, sent=sent)
        self.stage.wait(pause)

    def subscribe(self, customer: str, what: str, *, sent: bool) -> None:
        price = self.prices["unknown" if what == "coaching" else what]
        params: Json = {"customer": customer, "items": [{"price": price, "quantity": 2}]}
        if sent:
            params |= {"collection_method": "send_invoice", "days_until_due": 30}
        self.stage.allowed(lambda: self.v1.subscriptions.create(params))

    @rule(what=OTHERS, method=METHODS, sent=st.booleans(), pause=PAUSES)
    def appear(self, what: str, method: tuple[str, str], pause: int, *, sent: bool) -> None:
        """Let another program make a customer that names an organization, and subscribe it."""
        if NEWCOMER not in self.customers and not self.closing:
            customer = self.v1.customers.create({"name": "Newcomer", "metadata": {"organization_id": NEWCOMER}}).id
            attached = self.v1.payment_methods.attach(self.template(method[0]), {"customer": customer}).id
            self.v1.customers.update(customer, {"invoice_settings": {"default_payment_method": attached}})
            self.subscribe(customer, what, sent=sent)
        self.stage.wait(pause)
