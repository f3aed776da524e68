"""Every error becomes a problem with a stable code, and reveals no internals."""

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask, request
from flask.testing import FlaskClient
from werkzeug.exceptions import UnprocessableEntity
from werkzeug.test import TestResponse

from gateway import problems
from gateway.errors import (
    Conflict,
    GatewayError,
    InvalidRequest,
    QuoteStale,
    StripeNotCalled,
    StripeUnavailable,
    Unauthorized,
)


def raising(app: Flask, path: str, error: Exception) -> None:
    def view() -> str:
        raise error

    app.add_url_rule(path, path, view)


@pytest.fixture
def client() -> Iterator[FlaskClient]:
    app = Flask("test")
    app.config["MAX_CONTENT_LENGTH"] = 10
    problems.register(app)
    raising(app, "/stale", QuoteStale("Ask again.", change="chg_1"))
    raising(app, "/invalid", InvalidRequest("No.", errors={"plan": ["No such plan."]}))
    raising(app, "/unauthorized", Unauthorized("Who?", headers={"WWW-Authenticate": "Bearer"}))
    raising(app, "/unavailable", StripeUnavailable("Later."))
    raising(app, "/crash", RuntimeError("the secret is sk_live_x"))
    webargs = UnprocessableEntity()
    webargs.data = {"messages": {"json": {"quantity": ["Not a valid integer."]}}}  # type: ignore[attr-defined]  # as webargs does
    raising(app, "/fields", webargs)

    @app.post("/body")
    def body() -> Any:
        return request.get_json()

    with app.test_client() as found:
        yield found


def problem(response: TestResponse) -> dict[str, Any]:
    assert response.content_type == "application/problem+json"
    text = response.get_data(as_text=True)
    assert "Traceback" not in text
    assert "sk_live" not in text
    body: dict[str, Any] = response.get_json()
    assert body["status"] == response.status_code
    return body


def test_our_error_becomes_a_problem(client: FlaskClient) -> None:
    found = problem(client.get("/stale"))
    assert len(found.pop("request_id")) == 32
    assert found == {
        "type": "about:blank",
        "title": "The quote no longer holds",
        "status": 409,
        "code": "quote_stale",
        "detail": "Ask again.",
        "change": "chg_1",
    }


def test_a_problem_names_the_invalid_fields(client: FlaskClient) -> None:
    assert problem(client.get("/invalid"))["errors"] == {"plan": ["No such plan."]}
    found = problem(client.get("/fields"))
    assert (found["code"], found["errors"]) == ("invalid_request", {"quantity": ["Not a valid integer."]})


def test_a_problem_keeps_the_errors_headers(client: FlaskClient) -> None:
    response = client.get("/unauthorized")
    assert problem(response)["code"] == "unauthorized"
    assert response.headers["WWW-Authenticate"] == "Bearer"


def test_an_unavailable_dependency_is_a_503(client: FlaskClient) -> None:
    found = problem(client.get("/unavailable"))
    assert (found["status"], found["code"]) == (503, "stripe_unavailable")


def test_an_unknown_path_is_a_problem(client: FlaskClient) -> None:
    assert problem(client.get("/nowhere"))["code"] == "not_found"


def test_a_wrong_method_is_a_problem_with_allowed_methods(client: FlaskClient) -> None:
    response = client.get("/body")
    assert (response.status_code, problem(response)["code"]) == (405, "method_not_allowed")
    assert set(response.headers["Allow"].split(", ")) == {"OPTIONS", "POST"}


@pytest.mark.parametrize(
    ("body", "content_type", "status", "code"),
    [
        (b"12345678901", "application/json", 413, "payload_too_large"),
        (b"{", "application/json", 400, "invalid_json"),
        (b"1", "text/plain", 415, "unsupported_media_type"),
    ],
)
def test_an_unreadable_body_is_a_problem(
    client: FlaskClient, body: bytes, content_type: str, status: int, code: str
) -> None:
    response = client.post("/body", data=body, content_type=content_type)
    assert (response.status_code, problem(response)["code"]) == (status, code)


def test_an_unexpected_error_reveals_nothing(client: FlaskClient) -> None:
    found = problem(client.get("/crash"))
    assert (found["status"], found["code"]) == (500, "internal_error")
    assert "RuntimeError" not in str(found)


def family(error: type[GatewayError]) -> Iterator[type[GatewayError]]:
    yield error
    for each in error.__subclasses__():
        yield from family(each)


def test_every_error_has_its_own_code() -> None:
    sharing = {StripeNotCalled}  # its callers need to know no more than that Stripe is unavailable
    kinds = [each for each in family(GatewayError) if each not in {GatewayError, Conflict, *sharing}]
    assert len({each.code for each in kinds}) == len(kinds)
    assert {each.status for each in kinds if issubclass(each, Conflict)} == {409}
