"""The translation of Stripe's errors, with the real SDK against a server that answers like Stripe."""

from contextlib import nullcontext
from typing import Any

import pytest
import stripe

from gateway.errors import (
    CardDeclined,
    GatewayError,
    NotFound,
    PaymentMethodRequired,
    StripeRejected,
    StripeUnavailable,
)
from gateway.stripe_api.client import API_VERSION, is_key_refused, stripe_call, stripe_client
from gateway.stripe_api.event_list import list_events
from tests.support.stripe_answers import stripe_that_answers

INVALID = "invalid_request_error"
sdk: Any = stripe  # some constructors of its errors have no types


@pytest.mark.parametrize(
    ("status", "error", "ours", "detail"),
    [
        (402, {"type": "card_error", "code": "card_declined", "message": "No."}, CardDeclined, "No."),
        (404, {"type": INVALID, "code": "resource_missing", "message": "No such x"}, NotFound, "No such x"),
        (
            400,
            {"type": INVALID, "code": "resource_missing", "message": "No such x", "param": "x"},
            NotFound,
            "No such x",
        ),
        (400, {"type": INVALID, "code": "resource_missing", "message": "No attached"}, PaymentMethodRequired, None),
        (400, {"type": INVALID, "message": "Bad"}, StripeRejected, "Bad"),
        (404, {"type": INVALID, "message": "No such URL"}, StripeRejected, "No such URL"),
        (400, {"type": "idempotency_error", "message": "Key sk"}, StripeRejected, None),
        (401, {"type": INVALID, "message": "Invalid API Key provided: sk_test_****"}, StripeRejected, None),
        (403, {"type": INVALID, "message": "No permission"}, StripeRejected, None),
        (409, {"type": INVALID, "code": "lock_timeout", "message": "Busy"}, StripeUnavailable, None),
        (429, {"type": INVALID, "code": "rate_limit", "message": "Slow"}, StripeUnavailable, None),
        (500, {"type": "api_error", "message": "Oops"}, StripeUnavailable, None),
        (503, {"type": "api_error", "message": "Oops"}, StripeUnavailable, None),
    ],
)
def test_each_stripe_error_becomes_our_error(
    status: int, error: dict[str, Any], ours: type[GatewayError], detail: str | None
) -> None:
    with (
        stripe_that_answers(status, {"error": error}) as (url, _),
        pytest.raises(GatewayError) as caught,
        stripe_call(),
    ):
        stripe_client("sk_test_unit", url).v1.customers.retrieve("cus_1")
    assert type(caught.value) is ours
    assert isinstance(caught.value.__cause__, stripe.StripeError)
    if detail is not None:
        assert caught.value.detail == detail
    else:
        assert error["message"] not in caught.value.detail


def test_an_unreachable_stripe_is_unavailable() -> None:
    with stripe_that_answers(200, {}) as (url, _):
        pass
    with pytest.raises(StripeUnavailable), stripe_call():
        stripe_client("sk_test_unit", url).v1.customers.retrieve("cus_1")


@pytest.mark.parametrize(
    "answer",
    [
        *({}, [], None, 1, "html", [{"object": "list"}], {"object": 1}, {"data": [], "has_more": False}),
        *({"object": "list"}, {"object": "list", "data": []}, {"object": "list", "data": {}, "has_more": False}),
    ],
)
def test_a_200_that_does_not_come_from_stripe_is_unavailable(answer: object) -> None:
    with stripe_that_answers(200, answer) as (url, _):
        client = stripe_client("sk_test_unit", url)
        with pytest.raises(StripeUnavailable), stripe_call():
            client.v1.products.list()
        with pytest.raises(StripeUnavailable), stripe_call():
            list_events(client, None, None)


def test_an_empty_list_and_an_unknown_type_are_accepted() -> None:
    with stripe_that_answers(200, {"object": "list", "data": [], "has_more": False}) as (url, _), stripe_call():
        assert list_events(stripe_client("sk_test_unit", url), None, None).events == []
    with stripe_that_answers(200, {"object": "new", "text": "\ud800"}) as (url, _), stripe_call():
        assert stripe_client("sk_test_unit", url).v1.customers.retrieve("cus_1")["object"] == "new"


@pytest.mark.parametrize(
    ("error", "ours"),
    [
        (sdk.CardError(None, None, "card_declined"), CardDeclined),
        (sdk.InvalidRequestError(None, None), StripeRejected),
        (sdk.InvalidRequestError(None, "id", "resource_missing"), NotFound),
        (sdk.IdempotencyError(), StripeRejected),
        (sdk.AuthenticationError(), StripeRejected),
        (sdk.PermissionError(), StripeRejected),
        (sdk.RateLimitError(), StripeUnavailable),
        (sdk.APIConnectionError(None), StripeUnavailable),
        (sdk.APIError(), StripeUnavailable),
        (sdk.StripeError(), StripeUnavailable),
    ],
)
def test_an_error_without_a_message_gets_our_message(error: stripe.StripeError, ours: type[GatewayError]) -> None:
    with pytest.raises(GatewayError) as caught, stripe_call():
        raise error
    assert type(caught.value) is ours
    assert caught.value.detail


@pytest.mark.parametrize(
    ("status", "error", "refused"),
    [
        (401, {"type": INVALID, "message": "Expired API Key provided"}, True),
        (403, {"type": INVALID, "message": "The key does not have the required permissions"}, True),
        (400, {"type": INVALID, "message": "Bad"}, False),
        (400, {"type": "idempotency_error", "message": "Another request"}, False),
    ],
)
def test_key_refused_recognizes_only_a_refused_key(status: int, error: dict[str, Any], *, refused: bool) -> None:
    with (
        stripe_that_answers(status, {"error": error}) as (url, _),
        pytest.raises(StripeRejected) as caught,
        stripe_call(),
    ):
        stripe_client("sk_test_unit", url).v1.customers.retrieve("cus_1")
    assert is_key_refused(caught.value) is refused


def test_other_errors_pass_unchanged() -> None:
    with pytest.raises(ZeroDivisionError), stripe_call():
        raise ZeroDivisionError
    with pytest.raises(StripeRejected, match="ours"), stripe_call():
        raise StripeRejected("ours")


def test_requests_pin_the_version_and_send_no_telemetry() -> None:
    with stripe_that_answers(400, {"error": {"type": INVALID}}) as (url, seen):
        client = stripe_client("sk_test_unit", url)
        for _ in range(2):  # the second request would send the telemetry of the first
            with pytest.raises(StripeRejected), stripe_call():
                client.v1.customers.retrieve("cus_1")
    assert len(seen) == 2
    for headers in seen:
        assert headers["Stripe-Version"] == API_VERSION
        assert headers["Authorization"] == "Bearer sk_test_unit"
        assert "X-Stripe-Client-Telemetry" not in headers


@pytest.mark.parametrize(("excepted", "through_proxy"), [("", True), ("127.0.0.1", False)])
def test_calls_take_the_proxy_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, excepted: str, through_proxy: bool
) -> None:
    with stripe_that_answers(200, {"id": "cus_1", "object": "customer"}) as (url, _):
        monkeypatch.setenv("http_proxy", url)
        monkeypatch.setenv("no_proxy", excepted)
        stripe = stripe_client("sk_test_unit", "http://127.0.0.1:1")
        monkeypatch.delenv("http_proxy")  # the environment is read once
        with nullcontext() if through_proxy else pytest.raises(StripeUnavailable), stripe_call():
            stripe.v1.customers.retrieve("cus_1")
