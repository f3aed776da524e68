"""``POST /webhooks/stripe``: verify, store, acknowledge."""

from flask import Blueprint, Response, request
from werkzeug.exceptions import RequestEntityTooLarge

from gateway.config import WEBHOOK_MAX_BYTES
from gateway.endpoints.request_context import web_app
from gateway.metrics import DELIVERIES

blueprint = Blueprint("webhooks", __name__)


@blueprint.post("/webhooks/stripe")
def receive() -> tuple[str, int]:
    """Take one delivery. 200 only after the commit; anything else, and Stripe sends it again."""
    application = web_app()
    application.inbox.receive(raw_body(), request.headers.get("Stripe-Signature"))
    application.wakeup.call()
    return "", 200


@blueprint.after_request
def count(response: Response) -> Response:
    """Count what Stripe was answered."""
    DELIVERIES.labels(str(response.status_code)).inc()
    return response


def raw_body() -> bytes:
    """The bytes that were signed, as they came. Raises RequestEntityTooLarge.

    A chunked body over the limit is cut at it without a word, so a body of just that length counts as too large.
    """
    request.max_content_length = WEBHOOK_MAX_BYTES
    body = request.get_data(cache=False)
    if len(body) >= WEBHOOK_MAX_BYTES:
        raise RequestEntityTooLarge
    return body
