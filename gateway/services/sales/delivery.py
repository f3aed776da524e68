"""Deliver inquiries to the sales team's own system, as Standard Webhooks defines it: https://www.standardwebhooks.com.

Delivery is at least once. An inquiry without a known success is sent again under the same id.
"""

from datetime import datetime, timedelta
from http import HTTPStatus

import orjson
import requests
import structlog
from standardwebhooks import Webhook

from gateway.config import Config
from gateway.db.models import SalesInquiry
from gateway.services.runtime import Gateway
from gateway.services.sales.inquiries import defer_delivery
from gateway.stripe_api.times import to_unix

TIMEOUTS = (3, 10)  # seconds to connect, and to wait for the answer
# The wait before each retry. The waits add up to two and a half days, so that a receiver may be down over a weekend.
RETRY_WAITS = tuple(
    timedelta(**wait)
    for wait in (
        {"seconds": 5},
        {"minutes": 1},
        {"minutes": 5},
        {"minutes": 30},
        {"hours": 2},
        {"hours": 5},
        {"hours": 10},
        {"hours": 18},
        {"hours": 24},
    )
)

log = structlog.get_logger()


def deliver_inquiry(gateway: Gateway, inquiry_id: str) -> bool:
    """Attempt to deliver an inquiry and return whether it is delivered. After a failure, queue the next attempt.

    No transaction is open during the call. If the process is killed after the call, the attempt is not counted and the
    inquiry is sent once more. ``inquiries.defer_delivery`` queues the job that calls this function again.
    """
    with gateway.database.transaction() as session:
        inquiry = session.get_one(SalesInquiry, inquiry_id)
    if inquiry.delivered_at is None:
        record_attempt(gateway, inquiry, send_inquiry(gateway.config, inquiry, gateway.clock()))
    return inquiry.delivered_at is not None


def record_attempt(gateway: Gateway, sent: SalesInquiry, error: str | None) -> None:
    """Store the result of an attempt. ``error`` is None if it succeeded.

    ``sent`` is the row as it was read before the attempt.
    """
    now = gateway.clock()
    with gateway.database.transaction() as session:
        inquiry = session.get_one(SalesInquiry, sent.id, with_for_update=True)
        if inquiry.delivered_at is not None:
            return
        inquiry.attempts += 1
        inquiry.error, inquiry.next_attempt_at = error, None
        if error is None:
            inquiry.delivered_at = sent.delivered_at = now
        elif inquiry.attempts <= len(RETRY_WAITS):
            defer_delivery(session, inquiry, at=now + RETRY_WAITS[inquiry.attempts - 1])
    given_up = error is not None and inquiry.attempts > len(RETRY_WAITS)
    say = log.error if given_up else log.info
    say("sales_inquiry_sent", inquiry_id=inquiry.id, attempt=inquiry.attempts, error=error, given_up=given_up)


def send_inquiry(config: Config, inquiry: SalesInquiry, now: datetime) -> str | None:
    """Send the inquiry once. Return None, or the error in words without the address and without personal data."""
    if config.sales_webhook_url is None or config.sales_webhook_secret is None:
        return "GATEWAY_SALES_WEBHOOK_URL is not set"
    body = build_message(inquiry)
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "konnect-stripe-gateway",
        "webhook-id": inquiry.id,
        "webhook-timestamp": str(to_unix(now)),
        "webhook-signature": Webhook(config.sales_webhook_secret).sign(inquiry.id, now, body),
    }
    try:
        # Do not read the answer's body. Do not follow a redirect, because it could lead to another receiver.
        with requests.post(
            config.sales_webhook_url,
            data=body.encode(),
            headers=headers,
            timeout=TIMEOUTS,
            allow_redirects=False,
            stream=True,
        ) as answer:
            status = answer.status_code
    except requests.RequestException as error:
        return type(error).__name__
    return None if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES else f"HTTP {status}"


def build_message(inquiry: SalesInquiry) -> str:
    """Build the message ``{type, timestamp, data}``."""
    names = ("id", "organization_id", "name", "email", "company", "message", "created_at")
    data = {name: getattr(inquiry, name) for name in names}
    message = {"type": "sales_inquiry.created", "timestamp": inquiry.created_at, "data": data}
    return orjson.dumps(message, option=orjson.OPT_UTC_Z).decode()
