"""Configurations and sessions of the customer portal.

https://docs.stripe.com/api/customer_portal/configurations and https://docs.stripe.com/api/customer_portal/sessions.
"""

from gateway.sandbox.json_types import Json
from gateway.sandbox.work import Work

CONFIGURATION, SESSION = "billing_portal.configuration", "billing_portal.session"
_CANCEL: Json = {
    "cancellation_reason": {"enabled": False, "feedback_options": None, "options": []},
    "enabled": False,
    "mode": "at_period_end",
    "proration_behavior": "none",
}
_PAUSE: Json = {"duration": {"interval_options": [], "type": "indefinite"}, "enabled": False}
_UPDATE: Json = {
    "billing_cycle_anchor": None,
    "default_allowed_updates": [],
    "enabled": False,
    "products": None,
    "proration_behavior": "none",
    "schedule_at_period_end": {"conditions": []},
    "trial_update_behavior": "end_trial",
}
NO_FEATURES: Json = {
    "customer_update": {"allowed_updates": [], "enabled": False},
    "invoice_history": {"enabled": False},
    "payment_method_update": {"enabled": False, "payment_method_configuration": None},
    "subscription_cancel": _CANCEL,
    "subscription_pause": _PAUSE,
    "subscription_update": _UPDATE,
}


def features(before: Json, given: Json) -> Json:
    """Return the features with the given settings. The others stay as they were."""
    return {name: settings | given.get(name, {}) for name, settings in before.items()}


def configuration(work: Work, params: Json) -> Json:
    """Return a new configuration. Features that the request leaves out are off."""
    return {
        "id": work.ids.new("bpc"),
        "object": CONFIGURATION,
        "active": True,
        "application": None,
        "business_profile": {"headline": None, "privacy_policy_url": None, "terms_of_service_url": None},
        "created": work.now,
        "default_return_url": None,
        "features": features(NO_FEATURES, params["features"]),
        "is_default": False,
        "livemode": False,
        "login_page": {"enabled": False, "url": None},
        "metadata": params.get("metadata") or {},
        "name": params.get("name") or None,
        "updated": work.now,
    }


def session(work: Work, params: Json, configuration_id: str) -> Json:
    """Return a new session. Its address is a credential of this customer."""
    session_id = work.ids.new("bps")
    return {
        "id": session_id,
        "object": SESSION,
        "after_expiration": None,
        "configuration": configuration_id,
        "created": work.now,
        "customer": params["customer"],
        "customer_account": None,
        "flow": None,
        "livemode": False,
        "locale": params.get("locale"),
        "on_behalf_of": None,
        "return_url": params.get("return_url"),
        "url": f"{work.url}/p/session/{session_id}",
    }
