"""What intents say while, and after, a card's holder is asked to approve (https://docs.stripe.com/payments/3d-secure)."""

from gateway.sandbox.errors import invalid
from gateway.sandbox.json_types import Json
from gateway.sandbox.work import Work


def failure(code: str, message: str) -> Json:
    """The error an intent keeps when its holder did not approve."""
    link = f"https://stripe.com/docs/error-codes/{code.replace('_', '-')}"
    return {"code": code, "doc_url": link, "message": message, "type": "invalid_request_error"}


def next_action(work: Work, intent: Json, return_url: str | None) -> Json:
    """Where the holder approves: sent there and back, or by whatever the page in the browser makes of it.

    The address is the sandbox's page in both cases; Stripe.js would open its own in a frame
    (https://docs.stripe.com/api/payment_intents/object#payment_intent_object-next_action).
    """
    page = f"{work.url}/3d_secure/{intent['id']}"
    if return_url is None:
        return {"type": "use_stripe_sdk", "use_stripe_sdk": {"stripe_js": page, "type": "three_d_secure_redirect"}}
    if "://" not in return_url:
        text = "Invalid URL: An explicit scheme (such as https) must be provided."
        raise invalid(text, param="return_url", code="url_invalid")
    return {"redirect_to_url": {"return_url": return_url, "url": page}, "type": "redirect_to_url"}
