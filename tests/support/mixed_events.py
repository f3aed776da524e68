"""Signed deliveries of what a subscription's life brings: its own events and those of its invoices, of about 5 kB."""

import copy
import itertools
import json
from collections.abc import Sequence

import orjson
import psycopg

from tests.support.bulk_events import RECORDED, SIZE, STRIDE, build_delivery, product_id

TYPES = (
    "customer.subscription.created",
    "invoice.created",
    "invoice.finalized",
    "invoice.payment_failed",
    "invoice.paid",
    "customer.subscription.updated",
    "customer.subscription.deleted",
)
"""A subscription's life. Its invoice is paid before it ends, because no Stripe answers the benchmarks.

Otherwise the worker would try to withdraw credits of an unpaid invoice again and again."""
TEMPLATES = [json.loads((RECORDED.parent / f"{each}.json").read_text()) for each in TYPES]
FIRST_SECOND = 1_793_491_380
_numbers = itertools.count()


def sell_plan(connection: psycopg.Connection) -> None:
    """Insert the plan that the events' subscriptions are to."""
    columns = "product_id, key, name, active, as_of, source, trail, revision"
    connection.execute(
        f"INSERT INTO plans ({columns}) VALUES (%s, 'plus', 'Plus', true, now(), 'event', '{{a}}', 1)",  # noqa: S608 - names of ours
        (product_id(),),
    )


def requests(count: int, organizations: int) -> Sequence[bytes]:
    """Return ``count`` freshly signed deliveries. Each organization's are in order, and each is at another point."""
    return [build_delivery(build_event(next(_numbers), organizations)) for _ in range(count)]


def build_event(number: int, organizations: int) -> bytes:
    """Return the event with this number. An organization's subscriptions follow one another."""
    organization, turn = number * STRIDE % organizations, number // organizations
    life, point = divmod(turn + organization, len(TYPES))
    event = copy.deepcopy(TEMPLATES[point])
    shown, subscription_id = event["data"]["object"], f"sub_{organization}_{life}"
    event |= {"id": f"evt_1Mixed{number:018d}", "created": FIRST_SECOND + 60 * turn}
    shown |= {"customer": f"cus_{organization}", "metadata": {}}
    if shown["object"] == "subscription":
        shown |= {"id": subscription_id, "created": FIRST_SECOND + life}
        shown["items"]["data"][0] |= {"id": f"si_{organization}_{life}", "quantity": 1 + turn % 9}
    else:
        shown["id"] = f"in_{subscription_id}"
        shown["parent"]["subscription_details"] |= {"subscription": subscription_id, "metadata": {}}
    shown["metadata"]["padding"] = "x" * max(0, SIZE - len(orjson.dumps(event)))
    return orjson.dumps(event)
