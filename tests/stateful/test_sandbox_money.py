"""A state machine: whatever is done to the sandbox, in whatever order and at whatever time, its books stay right.

The rules are what an integration does to Stripe; the invariants, read back through the API after every one of them, are
what must hold of any Stripe account. A longer search than the ordinary run's::

    STATEFUL_EXAMPLES=2000 STATEFUL_STEPS=40 pytest tests/stateful -n0
"""

import os
from typing import Any

import requests
import stripe
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.sandbox import Sandbox
from tests.sandbox.support import DAY, MONTH, START, Clock, Json
from tests.stateful import billed, invoices
from tests.stateful.books import Books, read, renewals
from tests.stateful.history import same
from tests.stateful.in_force import InForce
from tests.stateful.usage import Report, Usage
from tests.stateful.world import World

HOUR = 3600
CARDS = st.sampled_from(
    [
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
AMOUNTS = st.sampled_from([2000, 1000, 999, 33, 0])
QUANTITIES = st.integers(1, 4)
PRORATIONS = st.sampled_from(["create_prorations", "always_invoice", "none"])
PAYMENTS = st.sampled_from(["allow_incomplete", "default_incomplete", "error_if_incomplete"])
LATER = st.sampled_from([1, HOUR, HOUR + 1, 7 * HOUR, 23 * HOUR, DAY, 3 * DAY, 5 * DAY, 7 * DAY, MONTH, 31 * DAY, 59 * DAY])
SOONER_OR_LATER = st.one_of(LATER, st.integers(1, 40 * DAY))
STARTS = st.sampled_from([START, 1_801_353_600, 1_803_772_800])
"""21 September 2026; 31 January 2027, whose day other months lack; 28 February 2027."""

CUSTOMERS = st.runner().flatmap(lambda machine: st.sampled_from(list(machine.currency)))
SUBSCRIPTIONS = st.runner().flatmap(lambda machine: st.sampled_from(machine.subscriptions))
SUBSCRIPTION: dict[str, st.SearchStrategy[Any]] = {
    "interval": INTERVALS,
    "amount": AMOUNTS,
    "quantity": QUANTITIES,
    "kind": st.sampled_from(["licensed", "licensed", "metered", "both"]),
    "trial": st.sampled_from([None, None, None, 1, 7, 40]),
    "without_card": st.sampled_from([None, "pause", "cancel", "create_invoice"]),
    "payment": PAYMENTS,
}


class Account(RuleBasedStateMachine):
    """Customers on one test clock, what they subscribe to, and what happens then."""

    def __init__(self) -> None:
        super().__init__()
        self.sandbox = Sandbox(clock=Clock(), seed="state machine").start()
        self.world = World(self.sandbox)
        self.in_force = InForce(self.world)
        self.usage = Usage(self.world)
        self.currency: dict[str, str] = {}
        """By customer."""
        self.subscriptions: list[str] = []
        self.set_by_hand: Json = {}
        self.checked = 0
        self.books: Books

    def teardown(self) -> None:
        self.sandbox.close()

    @property
    def v1(self) -> Any:
        """The SDK. Untyped here: parameters are made up as they come."""
        return self.world.account.v1

    # Operations

    @initialize(at=STARTS, card=CARDS, currency=CURRENCIES, first=st.fixed_dictionaries(SUBSCRIPTION))
    def begin(self, at: int, card: str | None, currency: str, first: Json) -> None:
        self.world.begin(at)
        self._joined(card, currency, 0)
        self._subscribed(next(iter(self.currency)), **first)

    @precondition(lambda self: len(self.currency) < 4)
    @rule(card=CARDS, currency=CURRENCIES, balance=st.sampled_from([0, 0, 0, -1500, 30]))
    def join(self, card: str | None, currency: str, balance: int) -> None:
        self._joined(card, currency, balance)

    def _joined(self, card: str | None, currency: str, balance: int) -> None:
        params: Json = {"test_clock": self.world.clock} | ({"balance": balance} if balance else {})
        if card:
            params |= {"payment_method": card, "invoice_settings": {"default_payment_method": card}}
        made = self.world.post("join", lambda options: self.v1.customers.create(params, options))
        assert made is not None
        self.currency[made.id] = currency
        self.set_by_hand[made.id] = balance

    @rule(customer=CUSTOMERS, card=CARDS.filter(bool))
    def change_card(self, customer: str, card: str) -> None:
        found = self.world.post(
            "attach", lambda options: self.v1.payment_methods.attach(card, {"customer": customer}, options)
        )
        assert found is not None
        params = {"invoice_settings": {"default_payment_method": found.id}}
        self.world.post("card", lambda options: self.v1.customers.update(customer, params, options))

    @rule(customer=CUSTOMERS, balance=st.sampled_from([0, -3000, 10, 700]))
    def set_balance(self, customer: str, balance: int) -> None:
        before = self.v1.customers.retrieve(customer).balance
        if self.world.post("balance", lambda options: self.v1.customers.update(customer, {"balance": balance}, options)):
            self.set_by_hand[customer] += balance - before

    @rule(customer=CUSTOMERS, **SUBSCRIPTION)
    def subscribe(self, customer: str, **choices: Any) -> None:
        self._subscribed(customer, **choices)

    def _subscribed(  # noqa: PLR0913 - one parameter a choice
        self,
        customer: str,
        interval: str,
        amount: int,
        quantity: int,
        kind: str,
        trial: int | None,
        without_card: str | None,
        payment: str,
    ) -> None:
        currency = self.currency[customer]
        items: list[Json] = []
        if kind != "metered":
            items.append({"price": self.world.price(currency, interval, amount), "quantity": quantity})
        if kind != "licensed":
            items.append({"price": self.world.price(currency, interval, 10, metered=True)})
        params: Json = {"customer": customer, "items": items, "payment_behavior": payment}
        if trial:
            params["trial_period_days"] = trial
        if without_card:
            params["trial_settings"] = {"end_behavior": {"missing_payment_method": without_card}}
        made = self.world.post("subscribe", lambda options: self.v1.subscriptions.create(params, options))
        if made:
            self.subscriptions.append(made.id)

    def update(self, subscription: str, **params: Any) -> Any:
        """``POST /v1/subscriptions/{id}``; the model notes what it says of prorations."""
        noted = {key: params[key] for key in ("proration_behavior", "proration_date") if key in params}
        return self.world.post("update", lambda options: self.v1.subscriptions.update(subscription, params, options), **noted)

    @precondition(lambda self: self.subscriptions)
    @rule(
        subscription=SUBSCRIPTIONS,
        interval=INTERVALS,
        amount=AMOUNTS,
        quantity=QUANTITIES,
        proration=PRORATIONS,
        payment=st.one_of(PAYMENTS, st.just("pending_if_incomplete")),
    )
    def swap(  # noqa: PLR0913 - one parameter a choice
        self, subscription: str, interval: str, amount: int, quantity: int, proration: str, payment: str
    ) -> None:
        found = self.found(subscription)
        item = next((item for item in found["items"]["data"] if "quantity" in item), None)
        if item is None:
            return
        price = self.world.price(found["currency"], interval, amount)
        items = [{"id": item["id"], "price": price, "quantity": quantity}]
        self.update(subscription, items=items, proration_behavior=proration, payment_behavior=payment)

    @precondition(lambda self: self.subscriptions)
    @rule(
        subscription=SUBSCRIPTIONS,
        amount=AMOUNTS,
        quantity=QUANTITIES,
        proration=st.sampled_from(["create_prorations", "always_invoice"]),
        ahead=st.sampled_from([0, 0, 600, DAY]),
    )
    def preview_and_swap(self, subscription: str, amount: int, quantity: int, proration: str, ahead: int) -> None:
        """What the preview shows is what the same update then does, to the cent."""
        found = self.found(subscription)
        item = next((item for item in found["items"]["data"] if "quantity" in item), None)
        if item is None or found["status"] not in {"active", "past_due"} or found["pending_update"]:
            return
        price = self.world.price(found["currency"], item["price"]["recurring"]["interval"], amount)
        items = [{"id": item["id"], "price": price, "quantity": quantity}]
        asked = {"items": items, "proration_behavior": proration, "proration_date": self.world.now + ahead}
        try:
            preview = self.v1.invoices.create_preview({"subscription": subscription, "subscription_details": asked})
        except stripe.InvalidRequestError:
            return
        before = set(self.pending(found["customer"]))
        after = self.update(subscription, **asked)
        if after is None:
            return
        shown = [_shown(line) for line in preview.to_dict(for_json=True)["lines"]["data"]]
        if after.latest_invoice != found["latest_invoice"]:
            made = self.v1.invoices.retrieve(after.latest_invoice).to_dict(for_json=True)
            assert [_shown(line) for line in self.world.lines(made)] == shown
            for name in ("total", "amount_due", "starting_balance", "ending_balance"):
                assert made[name] == preview[name], name
        else:
            added = [_shown(row) for key, row in self.pending(found["customer"]).items() if key not in before]
            assert all(row in shown for row in added), (added, shown)

    @precondition(lambda self: self.subscriptions)
    @rule(subscription=SUBSCRIPTIONS, proration=PRORATIONS, interval=st.sampled_from([None, "month", "week"]))
    def add_or_remove_metered(self, subscription: str, proration: str, interval: str | None) -> None:
        found = self.found(subscription)
        item = next((item for item in found["items"]["data"] if "quantity" not in item), None)
        if item:
            items: list[Json] = [{"id": item["id"], "deleted": True}]
        else:
            unit = found["items"]["data"][0]["price"]["recurring"]["interval"]
            items = [{"price": self.world.price(found["currency"], interval or unit, 10, metered=True)}]
        self.update(subscription, items=items, proration_behavior=proration)

    @precondition(lambda self: self.subscriptions)
    @rule(subscription=SUBSCRIPTIONS, amount=st.sampled_from([500, 700]), proration=PRORATIONS)
    def add_or_remove_seats(self, subscription: str, amount: int, proration: str) -> None:
        found = self.found(subscription)
        price = self.world.price(found["currency"], found["items"]["data"][0]["price"]["recurring"]["interval"], amount)
        item = next((item for item in found["items"]["data"] if item["price"]["id"] == price), None)
        change = {"id": item["id"], "deleted": True} if item else {"price": price, "quantity": 2}
        self.update(subscription, items=[change], proration_behavior=proration)

    @rule(customer=CUSTOMERS, value=st.integers(1, 90), ago=st.sampled_from([0, 0, 60, HOUR, 2 * DAY, -200]))
    def use(self, customer: str, value: int, ago: int) -> None:
        timestamp = self.world.now - ago
        payload = {"stripe_customer_id": customer, "value": str(value)}
        params = {"event_name": "calls", "payload": payload, "timestamp": timestamp, "identifier": f"use {len(self.usage.reports)}"}
        report = Report(customer, timestamp, value, len(self.world.history.changes))
        assert self.world.post("use", lambda options: self.v1.billing.meter_events.create(params, options))
        self.usage.reports.append(report)

    @precondition(lambda self: self.usage.reports)
    @rule()
    def report_usage_twice(self) -> None:
        """An identifier counts once a day; afterwards Stripe may take it again, and the model has no need to."""
        last = self.usage.reports[-1]
        if self.world.now - last.timestamp >= HOUR:
            return
        payload = {"stripe_customer_id": last.customer, "value": str(last.value)}
        params = {"event_name": "calls", "payload": payload, "identifier": f"use {len(self.usage.reports) - 1}"}
        assert self.world.post("use", lambda options: self.v1.billing.meter_events.create(params, options)) is None

    @rule(customer=CUSTOMERS, amount=st.sampled_from([250, -250, 20]))
    def bill_once(self, customer: str, amount: int) -> None:
        params = {"customer": customer, "amount": amount, "currency": self.currency[customer]}
        self.world.post("item", lambda options: self.v1.invoice_items.create(params, options))

    @rule(which=st.integers(0, 7), how=st.sampled_from(["pay", "pay", "elsewhere", "void", "finalize"]))
    def settle(self, which: int, how: str) -> None:
        found = [row["id"] for row in self.world.read("/v1/invoices") if row["status"] in {"open", "draft", "uncollectible"}]
        if not found:
            return
        invoice = found[which % len(found)]
        v1 = self.v1.invoices
        calls: Json = {
            "pay": lambda options: v1.pay(invoice, {}, options),
            "elsewhere": lambda options: v1.pay(invoice, {"paid_out_of_band": True}, options),
            "void": lambda options: v1.void_invoice(invoice, {}, options),
            "finalize": lambda options: v1.finalize_invoice(invoice, {}, options),
        }
        self.world.post(how, calls[how])

    @rule(which=st.integers(0, 7), card=st.sampled_from([None, None, "pm_card_visa", "pm_card_chargeCustomerFail"]))
    def confirm(self, which: int, card: str | None) -> None:
        """The card's holder approves, or gives another card."""
        found = [row["id"] for row in self.world.read("/v1/payment_intents") if row["status"].startswith("requires")]
        if not found:
            return
        params = {"payment_method": card} if card else {}
        intent = found[which % len(found)]
        self.world.post("confirm", lambda options: self.v1.payment_intents.confirm(intent, params, options))

    @precondition(lambda self: self.subscriptions)
    @rule(subscription=SUBSCRIPTIONS, prorate=st.booleans(), invoice_now=st.booleans())
    def cancel(self, subscription: str, prorate: bool, invoice_now: bool) -> None:  # noqa: FBT001 - a flag each
        params = {"prorate": prorate, "invoice_now": invoice_now}
        call = self.v1.subscriptions.cancel
        self.world.delete(
            "cancel", lambda options: call(subscription, params, options), subscription=subscription, **params
        )

    @precondition(lambda self: self.subscriptions)
    @rule(subscription=SUBSCRIPTIONS, on=st.booleans())
    def cancel_at_period_end(self, subscription: str, on: bool) -> None:  # noqa: FBT001 - what is set
        self.update(subscription, cancel_at_period_end=on)

    @precondition(lambda self: self.subscriptions)
    @rule(subscription=SUBSCRIPTIONS, later=st.one_of(st.just("min_period_end"), LATER, st.just("")), proration=PRORATIONS)
    def cancel_at(self, subscription: str, later: Any, proration: str) -> None:
        at = self.world.now + later if isinstance(later, int) else later
        self.update(subscription, cancel_at=at, proration_behavior=proration)

    @precondition(lambda self: self.subscriptions)
    @rule(subscription=SUBSCRIPTIONS, proration=PRORATIONS)
    def anchor_now(self, subscription: str, proration: str) -> None:
        self.update(subscription, billing_cycle_anchor={"type": "now"}, proration_behavior=proration)

    @precondition(lambda self: self.subscriptions)
    @rule(subscription=SUBSCRIPTIONS)
    def end_trial(self, subscription: str) -> None:
        self.update(subscription, trial_end="now")

    @precondition(lambda self: self.subscriptions)
    @rule(subscription=SUBSCRIPTIONS, behavior=st.sampled_from(["keep_as_draft", "mark_uncollectible", "void", ""]))
    def pause_collection(self, subscription: str, behavior: str) -> None:
        self.update(subscription, pause_collection={"behavior": behavior} if behavior else "")

    @precondition(lambda self: self.subscriptions)
    @rule(subscription=SUBSCRIPTIONS, unused=st.sampled_from(["now", "none"]), usage=st.sampled_from(["now", "none"]),
          invoicing=st.sampled_from(["invoice", "pending_invoice_item"]))
    def pause(self, subscription: str, unused: str, usage: str, invoicing: str) -> None:
        bill_for = {"unused_time_from": {"type": unused}, "outstanding_usage_through": {"type": usage}}
        params = {"type": "subscription", "bill_for": bill_for, "invoicing_behavior": invoicing}
        self.world.post("pause", lambda options: self.v1.subscriptions.pause(subscription, params, options), unused=unused)

    @precondition(lambda self: self.subscriptions)
    @rule(
        subscription=SUBSCRIPTIONS,
        anchor=st.sampled_from(["now", "unchanged"]),
        proration=PRORATIONS,
        payment=st.sampled_from(["resume_on_payment_attempt", "resume_on_payment_success"]),
    )
    def resume(self, subscription: str, anchor: str, proration: str, payment: str) -> None:
        params: Json = {"billing_cycle_anchor": {"type": anchor}, "payment_behavior": payment}
        noted = {"anchor": anchor}
        if anchor == "unchanged":
            params["proration_behavior"] = noted["proration_behavior"] = proration
        self.world.post("resume", lambda options: self.v1.subscriptions.resume(subscription, params, options), **noted)

    @rule(days=st.lists(st.sampled_from([1, 3, 5]), max_size=3), after=st.sampled_from(["canceled", "unpaid", "past_due"]))
    def configure(self, days: list[int], after: str) -> None:
        wanted = {"retry_days": days, "after_retries": after}
        assert requests.post(f"{self.sandbox.url}/_sandbox/settings", json=wanted, timeout=5).status_code == 200

    @rule(seconds=SOONER_OR_LATER)
    def wait(self, seconds: int) -> None:
        self.world.advance(seconds)

    @rule(after=st.sampled_from([0, 0, 1, HOUR, HOUR + 1]))
    def wait_for_renewal(self, after: int) -> None:
        """To the very second, or into the hour of the draft."""
        rows = self.world.read("/v1/subscriptions", test_clock=self.world.clock)
        ends = [item["current_period_end"] for row in rows for item in row["items"]["data"]]
        coming = [end for end in ends if end > self.world.now]
        if coming:
            self.world.advance(min(coming) - self.world.now + after)

    @precondition(lambda self: self.world.repeat)
    @rule()
    def send_again(self) -> None:
        """The last request once more, under its key: the same answer, and nothing happens."""
        assert self.world.repeat
        again, replayed = self.world.repeat()
        assert replayed
        assert again == self.world.last

    # What always holds

    @invariant()
    def the_books_are_right(self) -> None:
        events = self.world.listen()
        self.books = read(self.world)
        self.events_tell_everything(events)
        self.statuses_move_along_stripes_edges()
        self.invoices_are_the_sum_of_their_lines()
        self.balances_add_up()
        self.no_money_appears_or_vanishes()
        self.each_renewal_comes_once()
        self.every_second_costs_what_was_in_force()
        self.every_unit_used_is_billed_once()

    def events_tell_everything(self, events: list[Json]) -> None:
        """Each change has its event, and they say who caused it; folded, they are the objects as they stand."""
        known = self.world.history.known
        for event in events:
            self._check_cause(event)
        for kind in ("customers", "subscriptions", "invoices", "invoice_items", "intents", "charges", "cards"):
            for obj in getattr(self.books, kind).values():
                untold = {"invoice": obj["invoice"]} if kind == "invoice_items" else {}  # there is no invoiceitem.updated
                assert same(known.get(obj["id"], {}) | untold, obj), (known.get(obj["id"]), obj)
        listed = {"customer": self.books.customers, "subscription": self.books.subscriptions,
                  "invoice": self.books.invoices, "invoiceitem": self.books.invoice_items}
        for obj in known.values():
            assert obj["id"] in listed.get(obj["object"], [obj["id"]]), f"gone without an event: {obj}"

    def _check_cause(self, event: Json) -> None:
        request = event["request"]
        if request["id"] is None:
            assert request["idempotency_key"] is None
            assert event["created"] > START - 1
        elif operation := self.world.operations.get(request["id"]):
            assert request["idempotency_key"] == operation.key
            assert event["created"] == operation.at

    def statuses_move_along_stripes_edges(self) -> None:
        for change in self.world.history.changes[self.checked :]:
            invoices.check_status(change)
        self.checked = len(self.world.history.changes)

    def invoices_are_the_sum_of_their_lines(self) -> None:
        invoices.check_sums(self.books)

    def balances_add_up(self) -> None:
        invoices.check_balances(self.books)

    def no_money_appears_or_vanishes(self) -> None:
        invoices.check_money(self.books, self.set_by_hand)
        invoices.check_intents(self.books)

    def each_renewal_comes_once(self) -> None:
        """No item is renewed twice for one period; that none is left out, ``every_second_costs_what_was_in_force``."""
        for lines in renewals(self.books).values():
            starts = [(line["period"]["start"], line["description"]) for line in lines]
            assert len(starts) == len(set(starts)), lines

    def every_second_costs_what_was_in_force(self) -> None:
        self.in_force.follow()
        billed.check(self.world, self.books, self.in_force)

    def every_unit_used_is_billed_once(self) -> None:
        self.usage.check(self.books)

    # Reading

    def found(self, subscription: str) -> Json:
        found: Json = self.v1.subscriptions.retrieve(subscription).to_dict(for_json=True)
        return found

    def pending(self, customer: str) -> dict[str, Json]:
        return {row["id"]: row for row in self.world.read("/v1/invoiceitems", customer=customer, pending="true")}


def _shown(line: Json) -> tuple[object, ...]:
    return line["amount"], line["description"], line["quantity"], line["period"]["start"], line["period"]["end"]


Account.TestCase.settings = settings(
    max_examples=int(os.environ.get("STATEFUL_EXAMPLES", "15")),
    stateful_step_count=int(os.environ.get("STATEFUL_STEPS", "20")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestSandboxMoney = Account.TestCase
