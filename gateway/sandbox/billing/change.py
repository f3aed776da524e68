"""The change of a subscription, planned without a write so that previews and updates run the same code."""

from dataclasses import dataclass

from gateway.sandbox.billing import (
    billing_mode,
    collection,
    discounts,
    intents,
    invoicing,
    items,
    ledger,
    payment,
    pending_update,
    redemption,
    scheduled_end,
    sending,
    taxes,
    usage,
)
from gateway.sandbox.billing.cycle import period_at, whole
from gateway.sandbox.billing.ledger import Proration
from gateway.sandbox.billing.lines import add_pending
from gateway.sandbox.errors import invalid
from gateway.sandbox.json_types import Json
from gateway.sandbox.objects.subscription import ENDED, items_of, metered, with_items
from gateway.sandbox.pricing import Part
from gateway.sandbox.work import Work

_UNCHARGED = {"trialing", "paused"}
"""Statuses in which time is not charged and so not prorated. That ``paused`` is one of them is an inference."""


@dataclass(frozen=True)
class Change:
    """The effects of an update.

    They are the fields that it sets, the prorations in display order and the items whose usage it bills.
    """

    subscription: Json
    fields: Json
    prorations: list[Proration]
    behavior: str
    used: list[Json]
    """The metered items that owe for usage and are removed or get another price."""

    @property
    def bills(self) -> bool:
        """Return whether the change has anything to put on an invoice."""
        return bool(self.prorations or self.used)

    @property
    def after(self) -> Json:
        """Return the subscription after the change."""
        return self.subscription | self.fields


def plan(work: Work, subscription: Json, params: Json) -> Change:
    """Work out the items and prorations of ``POST /v1/subscriptions/{id}`` with ``params``. Write nothing."""
    behavior = params.get("proration_behavior", "create_prorations")
    date = proration_date(work, subscription, params, behavior)
    reset = _restarts_periods(subscription, params)
    moved = {"billing_cycle_anchor": work.now} if reset else {}
    target = subscription | moved | scheduled_end.requested(work, subscription, params)
    if "discounts" in params:
        owner = {"customer": subscription["customer"], "subscription": subscription["id"]}
        target["discounts"] = redemption.redeem(work, params["discounts"], owner, subscription["currency"])
    target |= taxes.requested(work, subscription, params)
    after = items.changed(work, target, params.get("items", []))
    if reset or target["cancel_at"] != subscription["cancel_at"]:
        after = [item | _period(target, item, work.now if reset else item["current_period_start"]) for item in after]
    if reset or _moves_classic_anchor(subscription, after):
        billing_mode.refuse_in_classic(subscription, "a new billing cycle anchor")
    if any(metered(item["price"]) for item in after):
        billing_mode.refuse_in_classic(subscription, "metered prices")
    fields = {key: value for key, value in target.items() if value != subscription[key]}
    fields |= scheduled_end.following(target, after) | with_items(subscription, after)
    if behavior == "none" or subscription["status"] in _UNCHARGED:
        return Change(subscription, fields, [], behavior, [])
    used = [item for item in usage.leaving(items_of(subscription), after) if usage.owing(work, item)]
    prorations = _prorations(work, subscription, target, after, date)
    if prorations:
        billing_mode.refuse_in_classic(subscription, "prorations")
    return Change(subscription, fields, prorations, behavior, used)


def _moves_classic_anchor(subscription: Json, after: list[Json]) -> bool:
    """Return whether classic billing mode would move the anchor, by another interval or from free to paid.

    https://docs.stripe.com/billing/subscriptions/billing-cycle
    """
    before = {item["id"]: item["price"] for item in items_of(subscription)}
    pairs = [(before[item["id"]], item["price"]) for item in after if item["id"] in before]
    return any(items.interval(old) != items.interval(new) for old, new in pairs) or any(
        old["unit_amount"] == 0 and new["unit_amount"] != 0 for old, new in pairs
    )


def _restarts_periods(subscription: Json, params: Json) -> bool:
    """Return whether the periods restart now. A trial keeps its end as the anchor, which is an inference."""
    return (params.get("billing_cycle_anchor") or {}).get("type") == "now" and subscription["status"] != "trialing"


def proration_date(work: Work, subscription: Json, params: Json, behavior: str) -> int:
    """Return the moment to prorate from, which is now by default. Raise 400 if it is outside an item's period."""
    date = int(params.get("proration_date", work.now))
    if "proration_date" not in params:
        return date
    if behavior == "none":
        raise invalid("You cannot set `proration_date` when `proration_behavior` is `none`.", param="proration_date")
    for item in items_of(subscription):
        if not item["current_period_start"] <= date <= item["current_period_end"]:
            text = "Cannot specify a `proration_date` outside of the subscription's current period."
            raise invalid(text, param="proration_date")
    return date


def _period(subscription: Json, item: Json, moment: int) -> Json:
    start, end = period_at(subscription, item["price"], moment)
    return {"current_period_start": start, "current_period_end": end}


def _prorations(work: Work, before: Json, target: Json, after: list[Json], date: int) -> list[Proration]:
    costs = Costs.of(work, target, after)
    old = {item["id"]: item for item in items_of(before)}
    new = {item["id"]: item for item in after}
    found: list[Proration] = []
    for item_id in old | new:
        found += _item_prorations(work, costs, old.get(item_id), new.get(item_id), date)
    return found


def _item_prorations(work: Work, costs: "Costs", old: Json | None, new: Json | None, date: int) -> list[Proration]:
    if old and new and _costs(old) == _costs(new):
        if old["current_period_end"] == new["current_period_end"]:
            return []
        # The billed part stays. Only the time that the period gained or lost at its end is prorated, as recorded from
        # Stripe's API for a moved anchor.
        lost = ledger.unused(work, old["id"], new["current_period_end"])
        return lost + costs.debits(new, old["current_period_end"])
    given_back = ledger.unused(work, old["id"], date) if old else []
    return given_back + (costs.debits(new, max(date, new["current_period_start"])) if new else [])


@dataclass(frozen=True)
class Costs:
    """What the items of a subscription cost for a whole period, after its discounts."""

    subscription: Json
    parts: dict[str, list[Part]]
    discounts: list[str]

    @classmethod
    def of(cls, work: Work, subscription: Json, after: list[Json]) -> "Costs":
        """Work out the costs of the items ``after`` a change."""
        parts = discounts.net_parts(work, subscription, after)
        return cls(subscription, parts, discounts.in_force(work, subscription, after))

    def debits(self, item: Json, start: int) -> list[Proration]:
        """Return the debits for the item from ``start`` to the end of its period."""
        period = whole(self.subscription, item["price"], item["current_period_start"])
        return ledger.charge(item, self.parts[item["id"]], start, period, self.discounts)


def _costs(item: Json) -> tuple[str, int | None]:
    return item["price"]["id"], item.get("quantity")


def update(work: Work, change: Change, payment_behavior: str) -> Json:
    """Carry out the change and return the subscription."""
    if change.behavior == "always_invoice" and change.bills:
        return _invoice_now(work, change, payment_behavior)
    owe(work, change)
    return take_effect(work, change.subscription, change.fields)


def owe(work: Work, change: Change) -> list[tuple[Proration, str]]:
    """Make pending invoice items of usage and prorations, and record them as billed."""
    owed = _make_pending(work, change)
    for proration, invoice_item in owed:
        ledger.record(work, proration, invoice_item)
    return owed


def _make_pending(work: Work, change: Change) -> list[tuple[Proration, str]]:
    usage.bill(work, change.subscription, change.used)
    usage.restart(work, items_of(change.subscription), items_of(change.after))
    added = add_pending(work, change.subscription, change.prorations)
    return [(proration, item["id"]) for proration, item in zip(change.prorations, added, strict=True)]


def take_effect(work: Work, subscription: Json, fields: Json) -> Json:
    """Store the subscription's new fields, and note which subscription owns each item."""
    for item in (fields.get("items") or {"data": []})["data"]:
        work.note("item_owner", item["id"], {"subscription": subscription["id"]})
    changed = work.update(subscription, fields)
    discounts.announce(work, subscription, changed)
    return discounts.drop_over(work, changed)


def draft_now(work: Work, change: Change) -> Json:
    """Draft the subscription's pending items as ``always_invoice`` does."""
    start = min(item["current_period_start"] for item in items_of(change.subscription))
    pending = invoicing.pending_items(work, change.subscription, loose=False)
    window = (start, work.now)
    return invoicing.draft(work, change.after, reason="subscription_update", pending=pending, window=window)


def _invoice_now(work: Work, change: Change, behavior: str) -> Json:
    owed = _make_pending(work, change)
    invoice = draft_now(work, change)
    if not sending.is_sent(invoice):  # that a sent one stays a draft for an hour, as at sign-up, is an inference
        invoice = invoicing.finalize(work, invoice)
    if invoice["status"] == "open" and behavior != "default_incomplete":
        card = payment.card_for(work, change.after, change.subscription["customer"])
        if behavior == "error_if_incomplete":
            payment.refuse_incomplete(work, card)
        retried = behavior == "allow_incomplete"
        invoice = collection.collect(work, invoice, change.after) if retried else payment.charge(work, invoice, card)
    subscription = work.get("subscription", change.subscription["id"])
    if invoice["status"] == "open" and behavior == "pending_if_incomplete":
        return pending_update.park(work, subscription, change.fields, owed, invoice["id"])
    for proration, invoice_item in owed:
        ledger.record(work, proration, invoice_item)
    if subscription["status"] in ENDED:  # this was the last attempt to collect
        return work.update(subscription, {"latest_invoice": invoice["id"]})
    waits = intents.is_processing(work, invoice["id"])
    status = {} if waits else _status_change(subscription["status"], invoice["status"])
    return take_effect(work, subscription, change.fields | status | {"latest_invoice": invoice["id"]})


def _status_change(status: str, invoice: str) -> Json:
    """Return the change of status that follows from the latest invoice, {} for none.

    https://docs.stripe.com/billing/subscriptions/overview#subscription-statuses
    """
    if invoice == "open" and status == "active":
        return {"status": "past_due"}
    return {"status": "active"} if invoice == "paid" and status in {"past_due", "unpaid"} else {}
