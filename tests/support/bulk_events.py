"""Realistic events: the payload of a recorded ``customer.subscription.updated``, padded to some 5 kB, ready to send."""

import itertools
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import psycopg
from stripe import WebhookSignature

RECORDED = Path(__file__).parents[1] / "unit/handlers/payloads/customer.subscription.updated.json"
SIZE = 5_000
STRIDE = 7_919
"""From one event's organization to the next one's: a prime, so that neighbours are no neighbours in any index."""
_numbers = itertools.count()
SECRET = "whsec_benchmark"


def enrol(connection: psycopg.Connection, organizations: int) -> None:
    """Organizations for the events to belong to."""
    rows = [(f"org_{number}", f"cus_{number}") for number in range(organizations)]
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO organizations (id, stripe_customer_id, created_at) VALUES (%s, %s, now())", rows
        )


def requests(count: int, organizations: int) -> Sequence[bytes]:
    """``count`` deliveries, signed just now; each tells of a newer state than the one before."""
    template = json.loads(RECORDED.read_text())
    return [_delivery(_event(template, next(_numbers), organizations)) for _ in range(count)]


def product_id() -> str:
    """The product that every event's subscription is to."""
    item = json.loads(RECORDED.read_text())["data"]["object"]["items"]["data"][0]
    return str(item["price"]["product"])


def id_of(delivery: bytes) -> str:
    """The id of the event in a delivery."""
    return str(orjson.loads(delivery.partition(b"\r\n\r\n")[2])["id"])


def _event(template: dict[str, Any], number: int, organizations: int) -> bytes:
    mine = number * STRIDE % organizations
    subscription = template["data"]["object"]
    template["id"] = f"evt_1Bench{number:018d}"
    template["created"] = subscription["created"] + number // organizations + 60
    subscription["id"] = f"sub_{mine}"
    subscription["customer"] = f"cus_{mine}"
    subscription["quantity"] = number
    subscription["items"]["data"][0] |= {"id": f"si_{mine}", "subscription": f"sub_{mine}", "quantity": number}
    subscription["metadata"] = {}
    body = orjson.dumps(template)
    subscription["metadata"] = {"padding": "x" * max(0, SIZE - len(body))}
    return orjson.dumps(template)


def _delivery(body: bytes) -> bytes:
    signature = WebhookSignature.generate_signature_header(body.decode(), SECRET, now())
    head = (
        "POST /webhooks/stripe HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json; charset=utf-8\r\n"
        f"User-Agent: Stripe/1.0\r\nStripe-Signature: {signature}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def now() -> int:
    """Unix seconds."""
    return int(datetime.now(UTC).timestamp())
