"""The headers that every answer has, and which answers a browser may store."""

from dataclasses import replace

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from gateway.app import create_app
from gateway.endpoints.request_context import EXTENSION
from gateway.problems import CONTENT_TYPE
from gateway.request_id import SAFE
from tests.support.api import ApiClient
from tests.support.world import World

EVERY_ANSWER = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}


def answers(world: World) -> dict[str, TestResponse]:
    """Return an answer of each kind of route."""
    client: FlaskClient = world.client
    api = world.api()
    return {
        "health": client.get("/health/live"),
        "document": client.get("/v1/openapi.json"),
        "unknown": client.get("/nowhere"),
        "method": client.put("/v1/subscription"),
        "no token": client.get("/v1/subscription"),
        "webhook": client.post("/webhooks/stripe", data=b"{}"),
        "plan": api("GET", "/subscription"),
        "not valid": api("PATCH", "/subscription", plan=1),
        "problem": api("PATCH", "/subscription", plan="plus"),
        "secret": api("POST", "/billing-details/setup-intent"),
        "options": client.options("/v1/subscription"),
    }


def test_answers_have_headers_and_only_plan_details_are_kept(world: World) -> None:
    for kind, answer in answers(world).items():
        assert EVERY_ANSWER.items() <= dict(answer.headers).items(), kind
        assert SAFE.match(answer.headers["X-Request-Id"]), kind
        if answer.mimetype == CONTENT_TYPE:
            assert answer.get_json()["request_id"] == answer.headers["X-Request-Id"], kind
        assert "Strict-Transport-Security" not in answer.headers
        expected = "private, no-cache" if kind == "plan" else "no-store"
        assert answer.headers["Cache-Control"] == expected, kind


def test_answer_that_shows_a_card_a_quote_or_a_secret_is_not_stored(api: ApiClient) -> None:
    for method, path, body in (
        ("GET", "/subscription", {}),
        ("GET", "/payment-methods", {}),
        ("GET", "/billing-details", {}),
        ("POST", "/billing-details/setup-intent", {}),
        ("POST", "/subscription/preview", {"plan": "plus"}),
        ("PATCH", "/subscription", {"plan": "plus"}),
        ("GET", "/subscription/changes", {}),
        ("GET", "/invoices", {}),
    ):
        answer = api(method, path, **body)
        assert answer.status_code < 300
        assert answer.headers["Cache-Control"] == "no-store", path


def test_plan_details_with_a_card_keep_their_etag(world: World, api: ApiClient) -> None:
    tag = api("GET", "/subscription").headers["ETag"]
    headers = {"Authorization": f"Bearer {world.token()}", "If-None-Match": tag}
    answer = world.client.get("/v1/subscription", headers=headers)
    assert (answer.status_code, answer.headers["Cache-Control"]) == (304, "no-store")


@pytest.mark.parametrize(
    ("public_url", "expected"),
    [("https://billing.example", "max-age=31536000"), ("http://127.0.0.1:8000", None), (None, None)],
)
def test_transport_security_follows_the_public_url(world: World, public_url: str | None, expected: str | None) -> None:
    app = create_app(replace(world.gateway, config=replace(world.gateway.config, public_url=public_url)))
    for path in ("/health/live", "/nowhere"):
        # The client cannot choose it, because any client can claim that its proxy speaks TLS.
        answer = app.test_client().get(path, headers={"X-Forwarded-Proto": "https"})
        assert answer.headers.get("Strict-Transport-Security") == expected
    app.extensions[EXTENSION].close()
