"""Usage of metered items, billed in arrears (https://docs.stripe.com/billing/subscriptions/usage-based).

Each item has a stored moment from which its usage is unbilled. That is when it was added or last billed.
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
"""How far in the future a meter event may be."""


@dataclass(frozen=True)
class _Billed:
    """The lines of an item on a draft, for ``start`` to ``end``.

    They count the events before ``until`` that were reported after event number ``after``.
    """

    item: Json
    start: int
    end: int
    until: int
    after: int
    lines: list[str]


def lines(work: Work, invoice_id: str, item: Json, start: int, end: int) -> list[Json]:
    """Return the lines for a metered item's usage in ``start`` <= time < ``end``. Without usage, the quantity is 0."""
    return _add_lines(work, invoice_id, _Billed(item, start, end, end, _last_ignored(work, item), []))


def lines_of_period(work: Work, invoice_id: str, subscription: Json, over: int) -> list[Json]:
    """Return the usage lines of the metered items whose period ends at ``over``, and mark that usage as billed."""
    found = []
    for item in items_of(subscription):
        if metered(item["price"]) and item["current_period_end"] == over:
            found += lines(work, invoice_id, item, unbilled_since(work, item), over)
            mark_billed(work, item["id"], over)
    return found


def skip(work: Work, subscription: Json) -> None:
    """Mark all usage until now as billed without billing it.

    A pause is not charged. That a trial's usage is free is an inference.
    """
    for item in items_of(subscription):
        if metered(item["price"]):
            mark_billed(work, item["id"], work.now)


def final_lines(work: Work, invoice_id: str, subscription: Json) -> list[Json]:
    """Return the lines for all unbilled usage of an ending subscription. Items that owe nothing have none."""
    found = []
    for item in items_of(subscription):
        if metered(item["price"]):
            billed = _Billed(item, unbilled_since(work, item), work.now, work.now + 1, _last_ignored(work, item), [])
            if _owing(work, item, billed.until):
                found += _add_lines(work, invoice_id, billed)
            mark_billed(work, item["id"], work.now)
    return found


def _add_lines(work: Work, invoice_id: str, billed: _Billed) -> list[Json]:
    made = _build_lines(work, invoice_id, billed)
    kept = replace(billed, lines=[line["id"] for line in made])
    work.note("usage_lines", invoice_id, {"billed": [*_billed_on(work, invoice_id), kept]})
    return made


def _billed_on(work: Work, invoice_id: str) -> list[_Billed]:
    found: list[_Billed] = (work.recall("usage_lines", invoice_id) or {"billed": []})["billed"]
    return found


def _build_lines(work: Work, invoice_id: str, billed: _Billed) -> list[Json]:
    parts = _parts(work, billed.item, billed.start, billed.until, billed.after)
    return for_period(work, invoice_id, billed.item, parts, (billed.start, billed.end))


def refresh(work: Work, invoice: Json) -> Json:
    """Count a draft's usage again, because usage reported since then belongs to it too.

    Usage lines come after all others. A line that already existed keeps its id.
    https://docs.stripe.com/billing/subscriptions/usage-based/configure-grace-period
    """
    drafted = _billed_on(work, invoice["id"])
    if not drafted:
        return invoice
    counted = {line for billed in drafted for line in billed.lines}
    found = [line for line in lines_of(work, invoice["id"]) if line["id"] not in counted]
    kept = []
    for billed in drafted:
        fresh = _build_lines(work, invoice["id"], billed)
        ids = billed.lines + [line["id"] for line in fresh[len(billed.lines) :]]
        fresh = [line | {"id": line_id} for line, line_id in zip(fresh, ids, strict=False)]
        found += fresh
        kept.append(replace(billed, lines=[line["id"] for line in fresh]))
    work.note("usage_lines", invoice["id"], {"billed": kept})
    return work.update(invoice, invoicing.put_lines(work, invoice, found))


def unbilled_since(work: Work, item: Json) -> int:
    """Return the moment from which a metered item's usage is unbilled."""
    return int((work.recall("usage_billed", item["id"]) or {"until": item["created"]})["until"])


def mark_billed(work: Work, item_id: str, until: int) -> None:
    """Mark usage before ``until`` as billed."""
    mark = work.recall("usage_billed", item_id) or {"after": 0}
    work.note("usage_billed", item_id, mark | {"until": until})


def _last_ignored(work: Work, item: Json) -> int:
    """Return the number of the last event reported before the item existed or got its price."""
    return int((work.recall("usage_billed", item["id"]) or {"after": 0})["after"])


def _parts(work: Work, item: Json, start: int, until: int, after: int) -> list[Part]:
    """Return what the usage costs. Negative usage is billed as 0."""
    meter = work.get("billing.meter", item["price"]["recurring"]["meter"])
    customer = work.get("subscription", item["subscription"])["customer"]
    used = metering.aggregate(meter, metering.events(work, meter["id"], customer, start, until, after))
    return pricing.charge(item["price"], tiers.of(work, item["price"]), max(used, Decimal(0)))


def _owing(work: Work, item: Json, until: int) -> list[Part]:
    """Return the cost of unbilled usage before ``until``, without the parts that cost nothing."""
    found = _parts(work, item, unbilled_since(work, item), until, _last_ignored(work, item))
    return [part for part in found if part.amount]


def owing(work: Work, item: Json) -> list[Part]:
    """Return what a metered item owes for all reported and unbilled usage."""
    return _owing(work, item, work.now + AHEAD_SECONDS + 1)


def leaving(before: list[Json], after: list[Json]) -> list[Json]:
    """Return the metered items of ``before`` that ``after`` lacks or has at another price."""
    prices = {item["id"]: item["price"]["id"] for item in after}
    return [item for item in before if metered(item["price"]) and prices.get(item["id"]) != item["price"]["id"]]


def bill(work: Work, subscription: Json, items: list[Json]) -> None:
    """Make pending invoice items of the items' usage until now, at their current prices.

    Flexible billing mode does so for items that are removed or get another price
    (https://docs.stripe.com/billing/subscriptions/billing-mode/compare). If the change waits for its payment and
    expires, that usage is lost (https://docs.stripe.com/billing/subscriptions/pending-updates).
    """
    for item in items:
        for part in owing(work, item):
            work.add(_pending(work, subscription, item, part))
        _restart_count(work, item, unbilled_since(work, item))


def restart(work: Work, before: list[Json], after: list[Json]) -> None:
    """Make items that are new or have another price count only usage reported from now on.

    An item that keeps its id also counts late events of its current period. They cost the price that is in force when
    they are reported.
    """
    known = {item["id"]: item for item in before}
    for item in leaving(after, before):
        old = known.get(item["id"])
        since = unbilled_since(work, old) if old and metered(old["price"]) else work.now
        _restart_count(work, item, since)


def _restart_count(work: Work, item: Json, since: int) -> None:
    """Make the item count only usage after ``since`` that is reported from now on."""
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
        "tax_rates": item["tax_rates"],
    }
