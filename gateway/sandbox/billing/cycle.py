"""A subscription's periods, which follow the calendar from its anchor and stop at a scheduled end."""

from dataclasses import replace

from gateway.sandbox.billing import ledger
from gateway.sandbox.currencies import step
from gateway.sandbox.json_types import Json
from gateway.sandbox.periods import containing
from gateway.sandbox.pricing import Part
from gateway.sandbox.proration import share
from gateway.sandbox.work import Work

Period = tuple[int, int]


def period_at(subscription: Json, price: Json, moment: int) -> Period:
    """Return the period that holds ``moment`` for a price of this subscription.

    No period reaches beyond ``cancel_at``, unless ``cancel_at_period_end`` is set. Then the date follows the period
    instead. A trial is one period for all prices, however long it is.
    """
    if subscription["status"] == "trialing":
        start, end = subscription["trial_start"], subscription["trial_end"]
    else:
        start, end = whole(subscription, price, moment)
    ends = None if subscription["cancel_at_period_end"] else subscription["cancel_at"]
    return start, min(end, ends) if ends and ends > start else end


def whole(subscription: Json, price: Json, moment: int) -> Period:
    """Return the whole period that the price is for, even if the subscription ends within it."""
    return containing(subscription["billing_cycle_anchor"], price["recurring"], moment)


def parts_of(work: Work, subscription: Json, item: Json, period: Period) -> list[Part]:
    """Return what a licensed item costs for ``period``. A shortened period costs its share of the price."""
    parts = ledger.parts(work, item)
    start, end = whole(subscription, item["price"], period[0])
    if period == (start, end):
        return parts
    rounded_to = step(item["price"]["currency"])
    return [
        replace(
            part,
            amount=share(
                part.amount, start=period[0], end=period[1], period_start=start, period_end=end, step=rounded_to
            ),
        )
        for part in parts
    ]
