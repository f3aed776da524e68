"""``POST /webhooks/stripe`` verifies, stores and acknowledges a delivery."""

from flask import Blueprint, Response, request

from gateway.endpoints.request_context import web_app
from gateway.metrics import DELIVERIES

blueprint = Blueprint("webhooks", __name__)


@blueprint.post("/webhooks/stripe")
def receive() -> tuple[str, int]:
    """Take one delivery. Answer 200 only after the commit, because Stripe redelivers after any other status."""
    application = web_app()
    if application.inbox.receive(request.get_data(), request.headers.get("Stripe-Signature")):
        application.wakeup.request_drain()
    return "", 200


@blueprint.after_request
def count(response: Response) -> Response:
    """Count the status of our answer to Stripe."""
    DELIVERIES.labels(str(response.status_code)).inc()
    return response
