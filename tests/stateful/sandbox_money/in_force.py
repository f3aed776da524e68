"""What each licensed item should cost, second by second: worked out from the subscriptions' own history.

The rules, in words. A period that begins is charged at the price then in force: price x quantity, by the share that the
period is of a whole one. A change that is prorated charges the new price from its date on instead of whatever was
charged; one that is not (``proration_behavior=none``) changes nothing before the next period. An item that goes, a
subscription that is canceled with ``prorate`` or paused is charged no further. A change that waits for its payment
counts once it is paid. What is void or dropped counts as if it had never been billed.
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
"""The most by which a line's rounding can be off, in any currency."""
_TIME = AccountOperation("time", {}, None, 0)


@dataclass
class InForce:
    """Follows the history from where it stopped last."""

    world: WatchedAccount
    due: dict[str, Rates] = field(default_factory=lambda: defaultdict(Rates))
    """By subscription item; what was given back to the customer alone by subscription."""
    gone: dict[str, Rates] = field(default_factory=lambda: defaultdict(Rates))
    """What was billed, and is void or dropped: exactly as it was billed, so rounded."""
    given: dict[str, Rates] = field(default_factory=lambda: defaultdict(Rates))
    """Credits of debits that became void afterwards."""
    waiting: dict[str, str] = field(default_factory=dict)
    """Subscription → the request whose change waits for its payment."""
    never: set[str] = field(default_factory=set)
    """Requests whose change was not paid, and never came."""
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
        """Whether what this request put on an invoice is owed: not so while its change waits."""
        return request not in self.never and request not in self.waiting.values()

    def _subscription(self, change: ObjectChange) -> None:
        old, new = change.before, change.after
        request = change.request
        waits = new["pending_update"] is not None
        if waits and (old or {})["pending_update"] != new["pending_update"]:
            self.waiting[new["id"]] = request or ""
        elif not waits and new["id"] in self.waiting:
            request = self.waiting.pop(new["id"])
            if not _took_effect(old or {}, new):
                self.never.add(request)
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
        """The rest of the item's period, or all of it, at its price."""
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
        """A line counts no more.

        But a credit stays given whose debit becomes void later: it was in the customer's hands by then.
        """
        due, gone, line = self.due[item], self.gone[item], Rates()
        line.spread(row["period"]["start"], row["period"]["end"], row["amount"])
        for start, end in list(intervals(due, gone, line)):
            taken, there = line.over(start, end), due.over(start, end) + gone.over(start, end)
            if taken and there - taken < -_ROUNDED * (gone.within(start, end) + 1):
                self.given[item].spread(start, end, there - taken)
                taken = there
            gone.spread(start, end, -taken)

    def _stop(self, item: str, since: int) -> None:
        """Nothing is due for the time after that."""
        self.due[item].clear(since)
        self.gone[item].clear(since)


def origin(world: WatchedAccount, line: Json) -> str | None:
    """The request that what a line charges comes from: that of its invoice item, else of its invoice."""
    details = line["parent"]["subscription_item_details"] or line["parent"]["invoice_item_details"]
    source = details["invoice_item"] or line["invoice"]
    return next(change.request for change in world.history.changes if change.after.get("id") == source)


def _costs(item: Json) -> tuple[str, object]:
    return item["price"]["id"], item.get("quantity")


def _took_effect(old: Json, new: Json) -> bool:
    """Whether a pending update was applied, not given up."""
    return bool(old["items"]["data"] != new["items"]["data"] or old["status"] == "paused" != new["status"])


def _gives_back(operation: AccountOperation) -> bool:
    if operation.kind == "pause":
        return bool(operation.params.get("unused") == "now")
    return bool(operation.kind == "cancel" and operation.params.get("prorate"))
