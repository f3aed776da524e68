"""The rules for a customer: what an integration does, and what the passing of time does."""

from typing import Any

import requests
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from gateway.sandbox import Sandbox
from tests.stateful.sandbox_money.account import WatchedAccount
from tests.stateful.sandbox_money.usage import Usage, UsageReport
from tests.support.clock import DAY, MONTH, START, ManualClock
from tests.support.json_types import Json

HOUR = 3600
CARDS = st.sampled_from(
    [
        "pm_card_visa",
        "pm_card_visa",
        "pm_card_visa",
        "pm_card_visa",
        "pm_card_chargeCustomerFail",
        "pm_card_authenticationRequired",
        "pm_card_authenticationRequiredOnSetup",
        None,
    ]
)
CURRENCIES = st.sampled_from(["usd", "usd", "jpy", "kwd"])
INTERVALS = st.sampled_from(["month", "month", "month", "week", "day"])
AMOUNTS = st.sampled_from([2000, 1000, 1000, 999, 999, 33, 0])
QUANTITIES = st.integers(1, 4)
PAYMENTS = st.sampled_from(["allow_incomplete", "allow_incomplete", "default_incomplete", "error_if_incomplete"])
LATER = st.sampled_from(
    [1, HOUR, HOUR + 1, 7 * HOUR, 23 * HOUR, DAY, 3 * DAY, 5 * DAY, 7 * DAY, MONTH, 31 * DAY, 59 * DAY]
)
SOONER_OR_LATER = st.one_of(LATER, st.integers(1, 40 * DAY))
UNPAID = ("requires_payment_method", "requires_action")
STARTS = st.sampled_from([START, 1_801_353_600, 1_803_772_800])
"""START, 31 January 2027 (other months lack day 31), and 28 February 2027."""

SUBSCRIPTION: dict[str, st.SearchStrategy[Any]] = {
    "interval": INTERVALS,
    "amount": AMOUNTS,
    "quantity": QUANTITIES,
    "kind": st.sampled_from(["licensed", "both", "both", "metered"]),
    "trial": st.sampled_from([None, None, None, None, 1, 7, 40]),
    "without_card": st.sampled_from([None, "pause", "cancel", "create_invoice"]),
    "payment": PAYMENTS,
}


class Customers(RuleBasedStateMachine):
    """A customer on a test clock, with a card, a balance, usage and invoices."""

    def __init__(self) -> None:
        super().__init__()
        self.sandbox = Sandbox(clock=ManualClock(), seed="state machine").start()
        self.world = WatchedAccount(self.sandbox)
        self.usage = Usage(self.world)
        self.customer = ""
        self.currency = ""
        self.subscriptions: list[str] = []
        self.set_by_hand = 0

    @property
    def v1(self) -> Any:
        """Return the SDK, untyped because the rules build parameters as plain dicts."""
        return self.world.account.v1

    @initialize(
        at=STARTS,
        card=CARDS,
        currency=CURRENCIES,
        balance=st.sampled_from([0, 0, 0, -1500, 30]),
        first=st.fixed_dictionaries(SUBSCRIPTION),
    )
    def begin(self, at: int, card: str | None, currency: str, balance: int, first: Json) -> None:
        self.world.begin(at)
        params: Json = {"test_clock": self.world.clock} | ({"balance": balance} if balance else {})
        if card:
            params |= {"payment_method": card, "invoice_settings": {"default_payment_method": card}}
        made = self.world.post("join", lambda options: self.v1.customers.create(params, options))
        assert made is not None
        self.customer, self.currency, self.set_by_hand = made.id, currency, balance
        self._subscribed(**first)

    @rule(card=CARDS.filter(bool))
    def change_card(self, card: str) -> None:
        self._card(card)

    def _card(self, card: str) -> None:
        found = self.world.post(
            "attach", lambda options: self.v1.payment_methods.attach(card, {"customer": self.customer}, options)
        )
        assert found is not None
        params = {"invoice_settings": {"default_payment_method": found.id}}
        self.world.post("card", lambda options: self.v1.customers.update(self.customer, params, options))

    @rule(balance=st.sampled_from([0, -3000, 10, 700]))
    def set_balance(self, balance: int) -> None:
        before = self.v1.customers.retrieve(self.customer).balance
        if self.world.post(
            "balance", lambda options: self.v1.customers.update(self.customer, {"balance": balance}, options)
        ):
            self.set_by_hand += balance - before

    @precondition(lambda self: len(self.running()) < 2)
    @rule(choices=st.fixed_dictionaries(SUBSCRIPTION))
    def subscribe(self, choices: Json) -> None:
        self._subscribed(**choices)

    def running(self) -> list[str]:
        """Return the subscriptions that are still running."""
        known = self.world.history.known
        return [each for each in self.subscriptions if known[each]["status"] in {"trialing", "active", "past_due"}]

    def _subscribed(
        self,
        interval: str,
        amount: int,
        quantity: int,
        kind: str,
        trial: int | None,
        without_card: str | None,
        payment: str,
    ) -> None:
        items: list[Json] = []
        if kind != "metered":
            items.append({"price": self.world.price(self.currency, interval, amount), "quantity": quantity})
        if kind != "licensed":
            items.append({"price": self.world.price(self.currency, interval, 10, metered=True)})
        params: Json = {"customer": self.customer, "items": items, "payment_behavior": payment}
        if trial:
            params["trial_period_days"] = trial
        if without_card:
            params["trial_settings"] = {"end_behavior": {"missing_payment_method": without_card}}
        made = self.world.post("subscribe", lambda options: self.v1.subscriptions.create(params, options))
        if made:
            self.subscriptions.append(made.id)

    @rule(value=st.integers(1, 90), ago=st.sampled_from([0, 0, 60, HOUR, 2 * DAY, -200]))
    def use(self, value: int, ago: int) -> None:
        self._use(value, ago)

    def _use(self, value: int, ago: int) -> None:
        self.world.listen()  # the check needs the report's place in the history
        timestamp = self.world.now - ago
        payload = {"stripe_customer_id": self.customer, "value": str(value)}
        params = {
            "event_name": "calls",
            "payload": payload,
            "timestamp": timestamp,
            "identifier": f"use {len(self.usage.reports)}",
        }
        report = UsageReport(len(self.usage.reports), self.customer, timestamp, value, len(self.world.history.changes))
        assert self.world.post("use", lambda options: self.v1.billing.meter_events.create(params, options))
        self.usage.reports.append(report)

    @precondition(lambda self: self.usage.reports)
    @rule()
    def report_usage_twice(self) -> None:
        """Report with a used identifier, which Stripe refuses for a day. This rule covers only the first hour."""
        last = self.usage.reports[-1]
        if self.world.now - last.timestamp >= HOUR:
            return
        payload = {"stripe_customer_id": last.customer, "value": str(last.value)}
        params = {"event_name": "calls", "payload": payload, "identifier": f"use {len(self.usage.reports) - 1}"}
        assert self.world.post("use", lambda options: self.v1.billing.meter_events.create(params, options)) is None

    @rule(amount=st.sampled_from([250, -250, 20]))
    def bill_once(self, amount: int) -> None:
        params = {"customer": self.customer, "amount": amount, "currency": self.currency}
        self.world.post("item", lambda options: self.v1.invoice_items.create(params, options))

    @precondition(lambda self: self.in_status("invoice", "draft", "open", "uncollectible"))
    @rule(which=st.integers(0, 3), how=st.sampled_from(["pay", "pay", "elsewhere", "void", "finalize"]))
    def settle(self, which: int, how: str) -> None:
        invoices = self.in_status("invoice", "draft", "open", "uncollectible")
        self._settle(invoices[which % len(invoices)], how)

    def in_status(self, kind: str, *statuses: str) -> list[str]:
        """Return the ids of the objects in these statuses, according to the events up to the last step."""
        known = self.world.history.known.values()
        return [obj["id"] for obj in known if obj["object"] == kind and obj["status"] in statuses]

    def _settle(self, invoice: str | None, how: str) -> None:
        if invoice is None:  # a metered subscription has none before its first renewal
            return
        v1 = self.v1.invoices
        calls: Json = {
            "pay": lambda options: v1.pay(invoice, {}, options),
            "elsewhere": lambda options: v1.pay(invoice, {"paid_out_of_band": True}, options),
            "void": lambda options: v1.void_invoice(invoice, {}, options),
            "finalize": lambda options: v1.finalize_invoice(invoice, {}, options),
        }
        self.world.post(how, calls[how])

    @precondition(lambda self: self.in_status("payment_intent", *UNPAID))
    @rule(which=st.integers(0, 3), card=st.sampled_from([None, None, "pm_card_visa", "pm_card_chargeCustomerFail"]))
    def confirm(self, which: int, card: str | None) -> None:
        """Let the cardholder approve the payment or give another card."""
        found = self.in_status("payment_intent", *UNPAID)
        params = {"payment_method": card} if card else {}
        intent = found[which % len(found)]
        self.world.post("confirm", lambda options: self.v1.payment_intents.confirm(intent, params, options))

    @rule(
        days=st.lists(st.sampled_from([1, 3, 5]), max_size=3), after=st.sampled_from(["canceled", "unpaid", "past_due"])
    )
    def configure(self, days: list[int], after: str) -> None:
        wanted = {"retry_days": days, "after_retries": after}
        assert requests.post(f"{self.sandbox.url}/_sandbox/settings", json=wanted, timeout=5).status_code == 200

    @rule(seconds=SOONER_OR_LATER)
    def wait(self, seconds: int) -> None:
        self.world.advance(seconds)

    @rule(after=st.sampled_from([0, 0, 1, HOUR, HOUR + 1]), times=st.integers(1, 3))
    def wait_for_renewal(self, after: int, times: int) -> None:
        """Wait for renewals without a step between them. The last wait may end in the hour of the draft."""
        for later in [HOUR + 1] * (times - 1) + [after]:
            self._renew(later)

    def _renew(self, after: int) -> None:
        rows = self.world.read("/v1/subscriptions", test_clock=self.world.clock)
        ends = [item["current_period_end"] for row in rows for item in row["items"]["data"]]
        coming = [end for end in ends if end > self.world.now]
        if coming:
            self.world.advance(min(coming) - self.world.now + after)

    @precondition(lambda self: self.world.repeat)
    @rule()
    def send_again(self) -> None:
        """Repeat the last request under its key. It must return the same answer and have no effect."""
        assert self.world.repeat
        again, replayed = self.world.repeat()
        assert replayed
        assert again == self.world.last
