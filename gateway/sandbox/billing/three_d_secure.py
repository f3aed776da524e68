"""The fields of intents during and after a 3D Secure question (https://docs.stripe.com/payments/3d-secure)."""

from gateway.sandbox.errors import invalid
from gateway.sandbox.json_types import Json
from gateway.sandbox.work import Work


def failure(code: str, message: str) -> Json:
    """Return the error that an intent keeps when the cardholder did not approve."""
    link = f"https://stripe.com/docs/error-codes/{code.replace('_', '-')}"
    return {"code": code, "doc_url": link, "message": message, "type": "invalid_request_error"}


def next_action(work: Work, intent: Json, return_url: str | None) -> Json:
    """Return the ``next_action`` that takes the holder to the approval, by redirect if there is a ``return_url``.

    Both kinds carry the address of the sandbox's page. Stripe.js would open its own page in a frame
    (https://docs.stripe.com/api/payment_intents/object#payment_intent_object-next_action).
    """
    page = f"{work.url}/3d_secure/{intent['id']}"
    if return_url is None:
        return {"type": "use_stripe_sdk", "use_stripe_sdk": {"stripe_js": page, "type": "three_d_secure_redirect"}}
    if "://" not in return_url:
        text = "Invalid URL: An explicit scheme (such as https) must be provided."
        raise invalid(text, param="return_url", code="url_invalid")
    return {"redirect_to_url": {"return_url": return_url, "url": page}, "type": "redirect_to_url"}
