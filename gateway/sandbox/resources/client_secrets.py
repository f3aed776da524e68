"""Client secrets, which a browser sends instead of a secret key (https://docs.stripe.com/api/payment_intents/object)."""

from gateway.sandbox.errors import invalid
from gateway.sandbox.json_types import Json


def check(intent: Json, params: Json) -> Json:
    """Return the intent. Raise a 400 if the request has another intent's client secret."""
    if params.get("client_secret", intent["client_secret"]) != intent["client_secret"]:
        text = f"The client_secret provided does not match the client_secret associated with this {intent['object']}."
        raise invalid(text, param="client_secret", code="resource_missing")
    return intent
