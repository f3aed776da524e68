"""A client that calls the JSON interface in process."""

from collections.abc import Callable
from typing import Any

from flask.testing import FlaskClient
from stripe import StripeClient
from werkzeug.test import TestResponse

from tests.support.json_types import Json


class ApiClient:
    """Calls the JSON interface as one organization's UI does."""

    def __init__(self, client: FlaskClient, token: str) -> None:
        self._client = client
        self._headers = {"Authorization": f"Bearer {token}"}

    def __call__(self, method: str, path: str, **body: Any) -> TestResponse:
        """Send the request, with a JSON body if any fields are given."""
        return self._client.open(f"/v1{path}", method=method, json=body or None, headers=self._headers)

    def ok(self, method: str, path: str, **body: Any) -> Json:
        """Send the request, check that it succeeded and return the JSON."""
        response = self(method, path, **body)
        assert response.status_code < 300, response.get_data(as_text=True)
        answer: Json = response.get_json()
        return answer

    def problem(self, method: str, path: str, **body: Any) -> tuple[int, str]:
        """Send the request, check that the answer is a problem and return its status and code."""
        return problem_of(self(method, path, **body))

    def add_card(self, stripe: StripeClient, template: str = "pm_card_visa") -> str:
        """Add a card as the browser does with Stripe.js, make it the default and return its id."""
        return take_card(self.ok, stripe, template)


def take_card(ok: Callable[..., Json], stripe: StripeClient, template: str = "pm_card_visa") -> str:
    """Add a card as the browser does with Stripe.js, make it the default and return its id."""
    intent_id = ok("POST", "/billing-details/setup-intent")["client_secret"].split("_secret_")[0]
    confirmed = stripe.v1.setup_intents.confirm(intent_id, {"payment_method": template})
    if confirmed.status == "requires_action":  # 3-D Secure: the cardholder approves
        confirmed = stripe.v1.setup_intents.confirm(intent_id)
    assert isinstance(confirmed.payment_method, str)
    ok("PUT", "/payment-methods/default", payment_method=confirmed.payment_method)
    return confirmed.payment_method


def problem_of(response: TestResponse) -> tuple[int, str]:
    """Return the status and code of a problem. Check its shape first."""
    assert response.content_type == "application/problem+json", response.get_data(as_text=True)
    body: Json = response.get_json()
    assert body["status"] == response.status_code
    assert "Traceback" not in response.get_data(as_text=True)
    return response.status_code, str(body["code"])
