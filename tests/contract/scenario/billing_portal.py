from typing import Any

import pytest
import requests
import stripe

from tests.contract.stage import ScenarioAccount


def a_portal_is_configured_and_opened(stage: ScenarioAccount) -> None:
    portal = stage.v1.billing_portal
    features: Any = {"invoice_history": {"enabled": True}, "payment_method_update": {"enabled": True}}
    configuration = portal.configurations.create({"features": features, "metadata": {"a": "b"}})
    portal.configurations.retrieve(configuration.id)
    portal.configurations.list({"active": True})
    customer = stage.customer()
    session = portal.sessions.create({"customer": customer.id, "configuration": configuration.id})
    requests.get(session.url, timeout=5).raise_for_status()
    portal.configurations.update(configuration.id, {"active": False})
    with pytest.raises(stripe.InvalidRequestError):
        portal.sessions.create({"customer": customer.id, "configuration": configuration.id})
