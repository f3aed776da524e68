"""``POST /webhooks/stripe`` verifies, stores and acknowledges a delivery."""

from flask import Blueprint, Response, request
from werkzeug.exceptions import RequestEntityTooLarge

from gateway.config import WEBHOOK_MAX_BYTES
from gateway.endpoints.request_context import web_app
from gateway.metrics import DELIVERIES

blueprint = Blueprint("webhooks", __name__)


@blueprint.post("/webhooks/stripe")
def receive() -> tuple[str, int]:
    """Take one delivery. Answer 200 only after the commit, because Stripe redelivers after any other status."""
    application = web_app()
    application.inbox.receive(raw_body(), request.headers.get("Stripe-Signature"))
    application.wakeup.request_drain()
    return "", 200


@blueprint.after_request
def count(response: Response) -> Response:
    """Count the status of our answer to Stripe."""
    DELIVERIES.labels(str(response.status_code)).inc()
    return response


def raw_body() -> bytes:
    """Return the signed bytes unchanged. Raise RequestEntityTooLarge.

    Werkzeug silently cuts a chunked body at the limit, so a body of exactly that length counts as too large.
    """
    request.max_content_length = WEBHOOK_MAX_BYTES
    body = request.get_data(cache=False)
    if len(body) >= WEBHOOK_MAX_BYTES:
        raise RequestEntityTooLarge
    return body
