"""Makes events and delivers them signed, as Stripe does."""

import time
from typing import Any

from stripe import WebhookSignature
from werkzeug.test import TestResponse

from tests.support.world import World

WEBHOOK_SECRET = "whsec_test"

NOW = 0  # seconds from now


def event(**changes: Any) -> dict[str, Any]:
    return {
        "id": "evt_test",
        "object": "event",
        "type": "customer.updated",
        "created": 1_795_000_000,
        "api_version": "2026-10-28.endive",
        "livemode": False,
        "data": {"object": {"id": "cus_1", "object": "customer"}},
        **changes,
    }


def signature(body: str, secret: str = WEBHOOK_SECRET, age: int = NOW) -> str:
    return str(WebhookSignature.generate_signature_header(body, secret, int(time.time()) - age))


def deliver(world: World, body: bytes | str, header: str | None = None) -> TestResponse:
    """Deliver an event as Stripe does. Sign it with the right secret unless a header is given."""
    raw = body.encode() if isinstance(body, str) else body
    header = header if header is not None else signature(raw.decode())
    return world.client.post("/webhooks/stripe", data=raw, headers={"Stripe-Signature": header})
