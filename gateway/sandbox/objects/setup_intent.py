"""Builder of setup intents (https://docs.stripe.com/api/setup_intents/object)."""

from gateway.sandbox.json_types import Json
from gateway.sandbox.objects.payment_method import TYPES
from gateway.sandbox.work import Work


def build(work: Work, params: Json) -> Json:
    """Return a setup intent that still needs a payment method."""
    intent_id = work.ids.new("seti")
    automatic = params.get("automatic_payment_methods") or {"enabled": True}
    return {
        "id": intent_id,
        "object": "setup_intent",
        "allowed_payment_method_types": params.get("allowed_payment_method_types"),
        "application": None,
        "automatic_payment_methods": {"allow_redirects": "always"} | automatic,
        "cancellation_reason": None,
        "client_secret": f"{intent_id}_secret_{work.ids.text(25)}",
        "created": work.now,
        "customer": params.get("customer"),
        "customer_account": None,
        "description": params.get("description") or None,
        "excluded_payment_method_types": None,
        "flow_directions": None,
        "last_setup_error": None,
        "latest_attempt": None,
        "livemode": False,
        "mandate": None,
        "metadata": params.get("metadata") or {},
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_method_options": {
            "card": {"mandate_options": None, "network": None, "request_three_d_secure": "automatic"}
        },
        "payment_method_types": params.get("allowed_payment_method_types") or list(TYPES),
        "single_use_mandate": None,
        "status": "requires_payment_method",
        "usage": params.get("usage", "off_session"),
    }
