"""The rules for what an integration does with subscriptions."""

from typing import Any

import stripe
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.stateful.sandbox_money.customers import AMOUNTS, INTERVALS, LATER, PAYMENTS, QUANTITIES, Customers
from tests.support.clock import DAY
from tests.support.json_types import Json

PRORATIONS = st.sampled_from(["create_prorations", "always_invoice", "none"])
SUBSCRIPTIONS = st.runner().flatmap(lambda machine: st.sampled_from(machine.running() * 4 + machine.subscriptions))
"""Mostly running subscriptions, because little happens to the others."""


class Subscriptions(Customers):
    """The customers' subscriptions, and all ways to change them."""

    def update(self, subscription: str, **params: Any) -> Any:
        """Call ``POST /v1/subscriptions/{id}``, and record its proration parameters for the model."""
        noted = {key: params[key] for key in ("proration_behavior", "proration_date") if key in params}
        return self.world.post(
            "update", lambda options: self.v1.subscriptions.update(subscription, params, options), **noted
        )

    @precondition(lambda self: self.subscriptions)
    @rule(
        subscription=SUBSCRIPTIONS,
        interval=INTERVALS,
        amount=AMOUNTS,
        quantity=QUANTITIES,
        proration=PRORATIONS,
        payment=st.one_of(PAYMENTS, st.just("pending_if_incomplete")),
    )
    def swap(self, subscription: str, **choices: Any) -> None:
        self._swap(subscription, **choices)

    def _swap(
        self, subscription: str, amount: int, quantity: int, proration: str, interval: str = "", payment: str = ""
    ) -> None:
        """Change price and quantity of the first licensed item. It keeps its interval if none is given."""
        found = self.found(subscription)
        item = next((item for item in found["items"]["data"] if "quantity" in item), None)
        if item is None:
            return
        price = self.world.price(found["currency"], interval or item["price"]["recurring"]["interval"], amount)
        items = [{"id": item["id"], "price": price, "quantity": quantity}]
        self.update(
            subscription,
            items=items,
            proration_behavior=proration,
            payment_behavior=payment or "allow_incomplete",
        )

    @precondition(lambda self: self.subscriptions)
    @rule(
        subscription=SUBSCRIPTIONS,
        amount=AMOUNTS,
        quantity=QUANTITIES,
        proration=st.sampled_from(["create_prorations", "always_invoice"]),
        ahead=st.sampled_from([0, 0, 600, DAY]),
    )
    def preview_and_swap(self, subscription: str, amount: int, quantity: int, proration: str, ahead: int) -> None:
        """Check that an update does exactly what its preview shows."""
        found = self.found(subscription)
        item = next((item for item in found["items"]["data"] if "quantity" in item), None)
        if item is None or found["status"] not in {"active", "past_due"} or found["pending_update"]:
            return
        price = self.world.price(found["currency"], item["price"]["recurring"]["interval"], amount)
        items = [{"id": item["id"], "price": price, "quantity": quantity}]
        wanted = {"items": items, "proration_behavior": proration, "proration_date": self.world.now + ahead}
        try:
            preview = self.v1.invoices.create_preview({"subscription": subscription, "subscription_details": wanted})
        except stripe.InvalidRequestError:
            return
        before = set(self.pending(found["customer"]))
        after = self.update(subscription, **wanted)
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
        self._add_or_remove_metered(subscription, proration, interval)

    def _add_or_remove_metered(self, subscription: str, proration: str, interval: str | None) -> None:
        found = self.found(subscription)
        item = next((item for item in found["items"]["data"] if "quantity" not in item), None)
        if item:
            items: list[Json] = [{"id": item["id"], "deleted": True}]
        else:
            unit = found["items"]["data"][0]["price"]["recurring"]["interval"]
            items = [{"price": self.world.price(found["currency"], interval or unit, 10, metered=True)}]
        self.update(subscription, items=items, proration_behavior=proration)

    @precondition(lambda self: self.subscriptions)
    @rule(
        subscription=SUBSCRIPTIONS,
        amount=st.sampled_from([500, 700]),
        interval=st.sampled_from([None, "month", "week"]),
        proration=PRORATIONS,
    )
    def add_or_remove_seats(self, subscription: str, amount: int, interval: str | None, proration: str) -> None:
        self._add_or_remove_seats(subscription, amount, interval, proration)

    def _add_or_remove_seats(self, subscription: str, amount: int, interval: str | None, proration: str) -> None:
        found = self.found(subscription)
        unit = found["items"]["data"][0]["price"]["recurring"]["interval"]
        price = self.world.price(found["currency"], interval or unit, amount)
        item = next((item for item in found["items"]["data"] if item["price"]["id"] == price), None)
        change = {"id": item["id"], "deleted": True} if item else {"price": price, "quantity": 2}
        self.update(subscription, items=[change], proration_behavior=proration)

    @precondition(lambda self: self.subscriptions)
    @rule(subscription=SUBSCRIPTIONS, prorate=st.booleans(), invoice_now=st.booleans())
    def cancel(self, subscription: str, prorate: bool, invoice_now: bool) -> None:
        params = {"prorate": prorate, "invoice_now": invoice_now}
        call = self.v1.subscriptions.cancel
        self.world.delete(
            "cancel", lambda options: call(subscription, params, options), subscription=subscription, **params
        )

    @precondition(lambda self: self.subscriptions)
    @rule(subscription=SUBSCRIPTIONS, on=st.booleans())
    def cancel_at_period_end(self, subscription: str, on: bool) -> None:
        self.update(subscription, cancel_at_period_end=on)

    @precondition(lambda self: self.subscriptions)
    @rule(
        subscription=SUBSCRIPTIONS, later=st.one_of(st.just("min_period_end"), LATER, st.just("")), proration=PRORATIONS
    )
    def cancel_at(self, subscription: str, later: Any, proration: str) -> None:
        at = self.world.now + later if isinstance(later, int) else later
        self.update(subscription, cancel_at=at, proration_behavior=proration)

    @precondition(lambda self: self.subscriptions)
    @rule(subscription=SUBSCRIPTIONS, proration=PRORATIONS)
    def anchor_now(self, subscription: str, proration: str) -> None:
        self.update(subscription, billing_cycle_anchor={"type": "now"}, proration_behavior=proration)

    @precondition(lambda self: self.in_status("subscription", "trialing"))
    @rule(subscription=SUBSCRIPTIONS)
    def end_trial(self, subscription: str) -> None:
        self.update(subscription, trial_end="now")

    @precondition(lambda self: self.subscriptions)
    @rule(subscription=SUBSCRIPTIONS, behavior=st.sampled_from(["keep_as_draft", "mark_uncollectible", "void", ""]))
    def pause_collection(self, subscription: str, behavior: str) -> None:
        self.update(subscription, pause_collection={"behavior": behavior} if behavior else "")

    @precondition(lambda self: self.subscriptions)
    @rule(
        subscription=SUBSCRIPTIONS,
        unused=st.sampled_from(["now", "none"]),
        usage=st.sampled_from(["now", "none"]),
        invoicing=st.sampled_from(["invoice", "pending_invoice_item"]),
    )
    def pause(self, subscription: str, unused: str, usage: str, invoicing: str) -> None:
        bill_for = {"unused_time_from": {"type": unused}, "outstanding_usage_through": {"type": usage}}
        params = {"type": "subscription", "bill_for": bill_for, "invoicing_behavior": invoicing}
        self.world.post(
            "pause", lambda options: self.v1.subscriptions.pause(subscription, params, options), unused=unused
        )

    @precondition(lambda self: self.in_status("subscription", "paused"))
    @rule(
        subscription=st.runner().flatmap(lambda machine: st.sampled_from(machine.in_status("subscription", "paused"))),
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

    def found(self, subscription: str) -> Json:
        found: Json = self.v1.subscriptions.retrieve(subscription).to_dict(for_json=True)
        return found

    def has_licensed_item(self, subscription: str) -> bool:
        """Return whether a swap finds an item. Without one it swaps nothing, and there may be no invoice to settle."""
        return any("quantity" in item for item in self.found(subscription)["items"]["data"])

    def pending(self, customer: str) -> dict[str, Json]:
        return {row["id"]: row for row in self.world.read("/v1/invoiceitems", customer=customer, pending="true")}


def _shown(line: Json) -> tuple[object, ...]:
    return line["amount"], line["description"], line["quantity"], line["period"]["start"], line["period"]["end"]
