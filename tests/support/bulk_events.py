"""Signed deliveries of a recorded ``customer.subscription.updated``, padded to about 5 kB."""

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
"""The step to the next event's organization. As a prime, it keeps consecutive events apart in every index."""
_numbers = itertools.count()
SECRET = "whsec_benchmark"


def enrol(connection: psycopg.Connection, organizations: int) -> None:
    """Insert the organizations of the events."""
    rows = [(f"org_{number}", f"cus_{number}") for number in range(organizations)]
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO organizations (id, stripe_customer_id, created_at) VALUES (%s, %s, now())", rows
        )


def requests(count: int, organizations: int) -> Sequence[bytes]:
    """Return ``count`` freshly signed deliveries. Each has a newer state than the one before."""
    template = json.loads(RECORDED.read_text())
    return [build_delivery(_event(template, next(_numbers), organizations)) for _ in range(count)]


def product_id() -> str:
    """Return the product of every event's subscription."""
    item = json.loads(RECORDED.read_text())["data"]["object"]["items"]["data"][0]
    return str(item["price"]["product"])


def id_of(delivery: bytes) -> str:
    """Return the id of the event in a delivery."""
    return str(orjson.loads(delivery.partition(b"\r\n\r\n")[2])["id"])


def _event(template: dict[str, Any], number: int, organizations: int) -> bytes:
    organization = number * STRIDE % organizations
    subscription = template["data"]["object"]
    template["id"] = f"evt_1Bench{number:018d}"
    template["created"] = subscription["created"] + number // organizations + 60
    subscription["id"] = f"sub_{organization}"
    subscription["customer"] = f"cus_{organization}"
    subscription["quantity"] = number
    subscription["items"]["data"][0] |= {
        "id": f"si_{organization}",
        "subscription": f"sub_{organization}",
        "quantity": number,
    }
    subscription["metadata"] = {}
    body = orjson.dumps(template)
    subscription["metadata"] = {"padding": "x" * max(0, SIZE - len(body))}
    return orjson.dumps(template)


def build_delivery(body: bytes) -> bytes:
    """Return the signed request that delivers an event."""
    signature = WebhookSignature.generate_signature_header(body.decode(), SECRET, now())
    head = (
        "POST /webhooks/stripe HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json; charset=utf-8\r\n"
        f"User-Agent: Stripe/1.0\r\nStripe-Signature: {signature}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def now() -> int:
    """Return the time in Unix seconds."""
    return int(datetime.now(UTC).timestamp())
