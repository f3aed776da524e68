"""Client secrets: what a browser shows instead of a secret key (https://docs.stripe.com/api/payment_intents/object)."""

from gateway.sandbox.errors import invalid
from gateway.sandbox.json_types import Json


def check(intent: Json, params: Json) -> Json:
    """The intent, if the secret given, if any, is its own."""
    if params.get("client_secret", intent["client_secret"]) != intent["client_secret"]:
        text = f"The client_secret provided does not match the client_secret associated with this {intent['object']}."
        raise invalid(text, param="client_secret", code="resource_missing")
    return intent
