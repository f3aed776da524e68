"""Calculates what each licensed item should cost, second by second, from the history of the subscriptions.

These are the rules:
- A new period is charged at the current price times the quantity, by the period's share of a whole period.
- A prorated change charges the new price from its date on, instead of the old charges.
- A change with ``proration_behavior=none`` changes nothing before the next period.
- A removed item is charged no further, and so is a subscription that is paused or canceled with ``prorate``.
- A change that waits for its payment counts from its payment on.
- A void invoice and a deleted invoice item count as if Stripe had never billed them.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from fractions import Fraction

from tests.stateful.sandbox_money.account import AccountOperation, WatchedAccount
from tests.stateful.sandbox_money.history import ObjectChange
from tests.stateful.sandbox_money.periods import length
from tests.stateful.sandbox_money.rates import Rates, intervals
from tests.support.json_types import Json

_ROUNDED = 5
"""The largest rounding error of a line in any currency, in minor units."""
_TIME = AccountOperation("time", {}, None, 0)


@dataclass
class InForce:
    """The amounts in force. ``follow`` continues at the change where it stopped last."""

    world: WatchedAccount
    due: dict[str, Rates] = field(default_factory=lambda: defaultdict(Rates))
    """Amounts due by subscription item. Credits that name only the customer are by subscription."""
    voided: dict[str, Rates] = field(default_factory=lambda: defaultdict(Rates))
    """Amounts that were billed and are now void or deleted, rounded as Stripe billed them."""
    given: dict[str, Rates] = field(default_factory=lambda: defaultdict(Rates))
    """Credits whose debits became void afterwards."""
    waiting: dict[str, str] = field(default_factory=dict)
    """The request whose change waits for its payment, by subscription."""
    unpaid_requests: set[str] = field(default_factory=set)
    """Requests whose change was never paid and never took effect."""
    _read: int = 0

    def follow(self) -> None:
        for change in self.world.history.changes[self._read :]:
            kind = change.after["object"]
            if kind == "subscription":
                self._subscription(change)
            elif kind == "invoice" and change.after["status"] == "void":
                self._void(change)
            elif kind == "invoiceitem" and change.deleted:
                self._dropped(change.after)
        self._read = len(self.world.history.changes)

    def counts(self, request: str | None) -> bool:
        """Return whether the customer owes this request's invoice lines, which is not so while its change waits."""
        return request not in self.unpaid_requests and request not in self.waiting.values()

    def _subscription(self, change: ObjectChange) -> None:
        old, new = change.before, change.after
        request = change.request
        waits = new["pending_update"] is not None
        if waits and (old or {})["pending_update"] != new["pending_update"]:
            self.waiting[new["id"]] = request or ""
        elif not waits and new["id"] in self.waiting:
            request = self.waiting.pop(new["id"])
            if not _took_effect(old or {}, new):
                self.unpaid_requests.add(request)
        operation = self.world.operations.get(request or "", _TIME)
        at = operation.at or change.at
        before = {item["id"]: item for item in (old or {"items": {"data": []}})["items"]["data"]}
        after = {item["id"]: item for item in new["items"]["data"]}
        for item_id in before | after:
            self._item(operation, old, new, before.get(item_id), after.get(item_id), at)

    def _item(
        self, operation: AccountOperation, old: Json | None, new: Json, was: Json | None, item: Json | None, at: int
    ) -> None:
        item_id = (was or item or {})["id"]
        status = (old or {"status": None})["status"]
        prorated = operation.params.get("proration_behavior") != "none"
        date = int(operation.params.get("proration_date") or at)
        if (
            new["status"] == "trialing"
            or status == new["status"] == "paused"
            or (was and "quantity" not in was and item and "quantity" not in item)
        ):
            return
        if new["status"] in ("canceled", "paused") and status != new["status"]:
            if _gives_back(operation):
                self._stop(item_id, at)
        elif status in (None, "trialing", "paused") and status != new["status"]:
            self._charge(new, item, at if operation.params.get("anchor") == "unchanged" else None, prorated=prorated)
        elif operation is _TIME or operation.kind not in ("update", "resume"):
            if item and was and item["current_period_start"] != was["current_period_start"]:
                self._charge(new, item, None)
        elif prorated:
            self._prorate(new, was, item, date)

    def _prorate(self, new: Json, was: Json | None, item: Json | None, date: int) -> None:
        if was and item and _costs(was) == _costs(item):
            if item["current_period_end"] != was["current_period_end"]:
                self._stop(item["id"], item["current_period_end"])
                self._charge(new, item, was["current_period_end"])
            return
        self._stop((was or item or {})["id"], date)
        self._charge(new, item, date)

    def _charge(self, new: Json, item: Json | None, since: int | None, *, prorated: bool = True) -> None:
        """Charge the item's price for its period, or for the rest of it."""
        if item is None or "quantity" not in item or not prorated:
            return
        start, end = max(since or 0, item["current_period_start"]), item["current_period_end"]
        whole = length(new["billing_cycle_anchor"], item["price"]["recurring"], item["current_period_start"])
        self.due[item["id"]].spread(
            start, end, Fraction(item["price"]["unit_amount"] * item["quantity"] * (end - start), whole)
        )

    def _void(self, change: ObjectChange) -> None:
        if change.before and change.before["status"] == "void":
            return
        for line in self.world.lines(change.after):
            details = line["parent"]["subscription_item_details"]
            if details and self.counts(origin(self.world, line)):
                self._take_back(details["subscription_item"], line)

    def _dropped(self, item: Json) -> None:
        if item["parent"] and item["parent"]["subscription_details"]["subscription_item"]:
            self._take_back(item["parent"]["subscription_details"]["subscription_item"], item)

    def _take_back(self, item: str, row: Json) -> None:
        """Remove a line's charge.

        If a debit becomes void after its credit, the credit stays, because the customer already has it.
        """
        due, voided, line = self.due[item], self.voided[item], Rates()
        line.spread(row["period"]["start"], row["period"]["end"], row["amount"])
        for start, end in list(intervals(due, voided, line)):
            taken, there = line.over(start, end), due.over(start, end) + voided.over(start, end)
            if taken and there - taken < -_ROUNDED * (voided.within(start, end) + 1):
                self.given[item].spread(start, end, there - taken)
                taken = there
            voided.spread(start, end, -taken)

    def _stop(self, item: str, since: int) -> None:
        """Remove all charges after ``since``."""
        self.due[item].clear(since)
        self.voided[item].clear(since)


def origin(world: WatchedAccount, line: Json) -> str | None:
    """Return the request that caused a line's charge, which made its invoice item or else its invoice."""
    details = line["parent"]["subscription_item_details"] or line["parent"]["invoice_item_details"]
    source = details["invoice_item"] or line["invoice"]
    return next(change.request for change in world.history.changes if change.after.get("id") == source)


def _costs(item: Json) -> tuple[str, object]:
    return item["price"]["id"], item.get("quantity")


def _took_effect(old: Json, new: Json) -> bool:
    """Return whether Stripe applied a pending update."""
    return bool(old["items"]["data"] != new["items"]["data"] or old["status"] == "paused" != new["status"])


def _gives_back(operation: AccountOperation) -> bool:
    if operation.kind == "pause":
        return bool(operation.params.get("unused") == "now")
    return bool(operation.kind == "cancel" and operation.params.get("prorate"))
