"""What metered items used, billed in arrears (https://docs.stripe.com/billing/subscriptions/usage-based).

Each item counts from a remembered moment on: since it was added, or up to where it was billed last.
"""

from dataclasses import dataclass, replace
from decimal import Decimal

from gateway.sandbox import pricing
from gateway.sandbox.billing import invoicing, metering
from gateway.sandbox.billing.lines import for_period, lines_of, part_text, plain
from gateway.sandbox.json_types import Json
from gateway.sandbox.objects import invoice as objects
from gateway.sandbox.objects import tiers
from gateway.sandbox.objects.subscription import items_of, metered
from gateway.sandbox.pricing import Part
from gateway.sandbox.work import Work

AHEAD_SECONDS = 300
"""So far in the future a meter event may be."""


@dataclass(frozen=True)
class _Billed:
    """The lines of an item on a draft, for ``start`` to ``end``.

    What counts are events before ``until`` that were reported after number ``after``.
    """

    item: Json
    start: int
    end: int
    until: int
    after: int
    lines: list[str]


def lines(work: Work, invoice_id: str, item: Json, start: int, end: int) -> list[Json]:
    """The lines in arrears of a metered item for ``start`` <= time < ``end``; without usage one of quantity 0."""
    return _put(work, invoice_id, _Billed(item, start, end, end, _after(work, item), []))


def lines_of_period(work: Work, invoice_id: str, subscription: Json, over: int) -> list[Json]:
    """The lines in arrears of the metered items whose period is over at that moment; they count anew from there."""
    found = []
    for item in items_of(subscription):
        if metered(item["price"]) and item["current_period_end"] == over:
            found += lines(work, invoice_id, item, unbilled_since(work, item), over)
            mark_billed(work, item["id"], over)
    return found


def skip(work: Work, subscription: Json) -> None:
    """What was used until now is billed to nobody: a trial's usage is free (an inference), nor is a pause charged."""
    for item in items_of(subscription):
        if metered(item["price"]):
            mark_billed(work, item["id"], work.now)


def final_lines(work: Work, invoice_id: str, subscription: Json) -> list[Json]:
    """The lines of all that a subscription used until now, as it ends; none for items that owe nothing."""
    found = []
    for item in items_of(subscription):
        if metered(item["price"]):
            billed = _Billed(item, unbilled_since(work, item), work.now, work.now + 1, _after(work, item), [])
            if _owing(work, item, billed.until):
                found += _put(work, invoice_id, billed)
            mark_billed(work, item["id"], work.now)
    return found


def _put(work: Work, invoice_id: str, billed: _Billed) -> list[Json]:
    made = _made(work, invoice_id, billed)
    kept = replace(billed, lines=[line["id"] for line in made])
    work.note("usage_lines", invoice_id, {"billed": [*_on(work, invoice_id), kept]})
    return made


def _on(work: Work, invoice_id: str) -> list[_Billed]:
    found: list[_Billed] = (work.recall("usage_lines", invoice_id) or {"billed": []})["billed"]
    return found


def _made(work: Work, invoice_id: str, billed: _Billed) -> list[Json]:
    parts = _parts(work, billed.item, billed.start, billed.until, billed.after)
    return for_period(work, invoice_id, billed.item, parts, (billed.start, billed.end))


def refresh(work: Work, invoice: Json) -> Json:
    """Count the usage of a draft again: what was reported since it was made belongs to it, too.

    Lines of usage stand behind all others; one that was there keeps its id.
    https://docs.stripe.com/billing/subscriptions/usage-based/configure-grace-period
    """
    on = _on(work, invoice["id"])
    if not on:
        return invoice
    counted = {line for billed in on for line in billed.lines}
    found = [line for line in lines_of(work, invoice["id"]) if line["id"] not in counted]
    kept = []
    for billed in on:
        fresh = _made(work, invoice["id"], billed)
        ids = billed.lines + [line["id"] for line in fresh[len(billed.lines) :]]
        fresh = [line | {"id": line_id} for line, line_id in zip(fresh, ids, strict=False)]
        found += fresh
        kept.append(replace(billed, lines=[line["id"] for line in fresh]))
    work.note("lines", invoice["id"], {"data": found})
    work.note("usage_lines", invoice["id"], {"billed": kept})
    balance = work.get("customer", invoice["customer"])["balance"]
    return work.update(invoice, invoicing.totals(invoice, found, balance))


def unbilled_since(work: Work, item: Json) -> int:
    """The moment from which a metered item's usage is not billed yet."""
    return int((work.recall("usage_billed", item["id"]) or {"until": item["created"]})["until"])


def mark_billed(work: Work, item_id: str, until: int) -> None:
    """Usage before ``until`` is billed."""
    mark = work.recall("usage_billed", item_id) or {"after": 0}
    work.note("usage_billed", item_id, mark | {"until": until})


def _after(work: Work, item: Json) -> int:
    """The number of the last event that was reported before the item, or its price, was there."""
    return int((work.recall("usage_billed", item["id"]) or {"after": 0})["after"])


def _parts(work: Work, item: Json, start: int, until: int, after: int) -> list[Part]:
    """Negative usage is billed as none."""
    meter = work.get("billing.meter", item["price"]["recurring"]["meter"])
    customer = work.get("subscription", item["subscription"])["customer"]
    used = metering.aggregate(meter, metering.events(work, meter["id"], customer, start, until, after))
    return pricing.charge(item["price"], tiers.of(work, item["price"]), max(used, Decimal(0)))


def _owing(work: Work, item: Json, until: int) -> list[Part]:
    """What usage before ``until`` that is not billed yet costs, without what costs nothing."""
    found = _parts(work, item, unbilled_since(work, item), until, _after(work, item))
    return [part for part in found if part.amount]


def owing(work: Work, item: Json) -> list[Part]:
    """What a metered item owes for all that was reported so far, and is not billed yet."""
    return _owing(work, item, work.now + AHEAD_SECONDS + 1)


def leaving(before: list[Json], after: list[Json]) -> list[Json]:
    """The metered items of ``before`` that ``after`` has no more, or at another price."""
    prices = {item["id"]: item["price"]["id"] for item in after}
    return [item for item in before if metered(item["price"]) and prices.get(item["id"]) != item["price"]["id"]]


def bill(work: Work, subscription: Json, items: list[Json]) -> None:
    """Make pending invoice items, at their prices, of what items used until now.

    Flexible billing mode does so with those that go or get another price
    (https://docs.stripe.com/billing/subscriptions/billing-mode/compare). If the change waits for its payment and
    expires, that usage is lost (https://docs.stripe.com/billing/subscriptions/pending-updates).
    """
    for item in items:
        for part in owing(work, item):
            work.add(_pending(work, subscription, item, part))
        _count_anew(work, item, unbilled_since(work, item))


def restart(work: Work, before: list[Json], after: list[Json]) -> None:
    """Let items that are new, or have another price, count what is reported from now on.

    An item that keeps its id counts late events of its running period too: the price in force when they are reported
    applies to them.
    """
    known = {item["id"]: item for item in before}
    for item in leaving(after, before):
        old = known.get(item["id"])
        since = unbilled_since(work, old) if old and metered(old["price"]) else work.now
        _count_anew(work, item, since)


def _count_anew(work: Work, item: Json, since: int) -> None:
    """Only what is reported from now on counts, of the time after ``since``."""
    work.note("usage_billed", item["id"], {"until": since, "after": metering.reported(work)})


def _pending(work: Work, subscription: Json, item: Json, part: Part) -> Json:
    price = item["price"]
    built = objects.build_item(
        work,
        customer=subscription["customer"],
        amount=part.amount,
        currency=price["currency"],
        description=part_text(work, price, part),
        period={"end": work.now, "start": unbilled_since(work, item)},
    )
    details = {"subscription": subscription["id"], "subscription_item": item["id"]}
    return built | {
        "parent": {"subscription_details": details, "type": "subscription_details"},
        "pricing": objects.pricing(price, plain(part.unit_amount)),
        "quantity": int(part.quantity),
        "quantity_decimal": plain(part.quantity),
    }
