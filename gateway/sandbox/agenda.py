"""The next automatic step of an object, worked out from the object's state alone.

No timer is stored, so none can be lost. After a change, the sandbox simply works out the next step again.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from gateway.sandbox.billing import (
    boundary,
    collection,
    discounts,
    endings,
    pausing,
    pending_interval,
    pending_update,
    sending,
    trials,
    upcoming,
)
from gateway.sandbox.json_types import Json
from gateway.sandbox.objects.subscription import ENDED, period_end
from gateway.sandbox.settings import Settings
from gateway.sandbox.store import Store
from gateway.sandbox.work import Work


@dataclass(frozen=True)
class Step:
    """A call of ``do(work, obj)`` that is due at unix second ``at``.

    ``do`` must change the object's next step. Otherwise the timekeeper treats the step as failed.
    """

    at: int
    do: Callable[[Work, Json], object]


def next_step(store: Store, obj: Json, settings: Settings) -> Step | None:
    """Return the object's earliest step. If several fall in one second, return the one yielded first below."""
    steps = _OF_KIND.get(obj["object"], _nothing)(store, obj, settings)
    return min(steps, key=lambda step: step.at, default=None)


def _of_subscription(store: Store, subscription: Json, settings: Settings) -> Iterator[Step]:
    status = subscription["status"]
    if status in ENDED:
        return
    if status == "incomplete":
        yield Step(subscription["created"] + pending_update.LIFETIME, endings.expire_first_invoice)
        return
    if subscription["pending_update"]:
        yield Step(subscription["pending_update"]["expires_at"], endings.expire_update)
    if status == "paused":
        if subscription["cancel_at"]:
            yield Step(subscription["cancel_at"], endings.end_as_scheduled)
        return
    if subscription["pause_collection"] and subscription["pause_collection"]["resumes_at"]:
        yield Step(subscription["pause_collection"]["resumes_at"], pausing.collect_again)
    if status == "trialing" and not trials.announced(store, subscription):
        yield Step(trials.announcement(subscription), trials.announce)
    for ends in discounts.ends(store, subscription):
        yield Step(ends, discounts.drop_over)
    notice = upcoming.notice(store, subscription, settings)
    if notice:
        yield Step(notice, upcoming.notify)
    yield from _bills(subscription)


def _bills(subscription: Json) -> Iterator[Step]:
    yield Step(period_end(subscription), boundary.cross)
    if subscription["next_pending_invoice_item_invoice"]:
        yield Step(subscription["next_pending_invoice_item_invoice"], pending_interval.bill)


def _of_invoice(store: Store, invoice: Json, settings: Settings) -> Iterator[Step]:
    answer = collection.debit_ends(store, invoice)
    if answer:
        yield Step(answer, collection.end_debit)
    if store.find("customer", invoice["customer"]) is None:
        return
    late = sending.late_at(store, invoice, settings)
    if late:
        yield Step(late, sending.become_late)
    if not invoice["auto_advance"]:
        return
    if invoice["status"] == "draft" and invoice["automatically_finalizes_at"]:
        yield Step(invoice["automatically_finalizes_at"], collection.finalize)
    if invoice["status"] == "open" and invoice["next_payment_attempt"]:
        yield Step(invoice["next_payment_attempt"], collection.collect)


def _nothing(_store: Store, _obj: Json, _settings: Settings) -> Iterator[Step]:
    yield from ()


_OF_KIND = {"subscription": _of_subscription, "invoice": _of_invoice}
