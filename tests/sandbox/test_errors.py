"""Errors as Stripe was recorded to answer them (2026-08-26.dahlia)."""

from typing import Any

import pytest
import requests
from stripe import InvalidRequestError

from gateway.sandbox import Sandbox
from tests.sandbox.support import Account, Json

DOC = "https://stripe.com/docs/error-codes/"
KEY = {"Authorization": "Bearer sk_test_x"}


def ask(sandbox: Sandbox, method: str, path: str, **data: Any) -> tuple[int, Json]:
    """The status and the error, without the link to the request's log that nearly all have."""
    answer = requests.request(method, sandbox.url + path, headers=KEY, data=data, timeout=5)
    error = answer.json()["error"]
    assert error.pop("request_log_url").endswith(answer.headers["Request-Id"])
    return answer.status_code, error


def refused(message: str, param: str | None = None, code: str | None = None) -> Json:
    error = {"type": "invalid_request_error", "message": message, "param": param, "code": code}
    error["doc_url"] = DOC + code.replace("_", "-") if code else None
    return {key: value for key, value in error.items() if value is not None}


@pytest.mark.parametrize(
    ("method", "path", "data", "status", "error"),
    [
        (
            "GET",
            "/v1/subscriptions/sub_nope",
            {},
            404,
            refused("No such subscription: 'sub_nope'", "id", "resource_missing"),
        ),
        (
            "GET",
            "/v1/subscription_items/si_nope",
            {},
            404,
            refused("Invalid subscription_item id: si_nope"),
        ),
        (
            "POST",
            "/v1/subscriptions",
            {"customer": "cus_nope", "items[0][price]": "price_nope"},
            404,
            refused("No such customer: 'cus_nope'", "customer", "resource_missing"),
        ),
        (
            "POST",
            "/v1/subscriptions",
            {"customer": "cus_nope"},
            400,
            refused("Missing required param: items.", "items", "parameter_missing"),
        ),
        (
            "POST",
            "/v1/subscriptions",
            {"customer": "cus_nope", "payment_behavior": "bogus"},
            400,
            refused(
                "Invalid payment_behavior: must be one of allow_incomplete, error_if_incomplete, "
                "pending_if_incomplete, or default_incomplete",
                "payment_behavior",
            ),
        ),
        (
            "POST",
            "/v1/subscriptions",
            {"customer": "cus_nope", "items[0][price]": "p", "payment_behavior": "pending_if_incomplete"},
            400,
            refused(
                "Setting `payment_behavior` to `pending_if_incomplete` has no effect when creating a subscription.",
                "payment_behavior",
            ),
        ),
        (
            "GET",
            "/v1/subscriptions?status=bogus",
            {},
            400,
            refused(
                "Invalid status: must be one of active, past_due, unpaid, canceled, incomplete, incomplete_expired, "
                "trialing, paused, all, or ended",
                "status",
            ),
        ),
        (
            "GET",
            "/v1/customers?limit=abc",
            {},
            400,
            refused("Invalid integer: abc", "limit", "parameter_invalid_integer"),
        ),
        (
            "GET",
            "/v1/customers?wat=x",
            {},
            400,
            refused("Received unknown parameter: wat", "wat", "parameter_unknown"),
        ),
        (
            "POST",
            "/v1/customers",
            {"invoice_settings[nope]": "x"},
            400,
            refused(
                "Received unknown parameter: invoice_settings[nope]", "invoice_settings[nope]", "parameter_unknown"
            ),
        ),
        (
            "GET",
            "/v1/customers?starting_after=cus_aaa",
            {},
            400,
            refused("No such customer: 'cus_aaa'", "starting_after", "resource_missing"),
        ),
        (
            "GET",
            "/v1/customers?starting_after=cus_a&ending_before=cus_b",
            {},
            400,
            refused("Received both starting_after and ending_before parameters. Please pass in only one."),
        ),
    ],
)
def test_a_bad_request_is_told_why(  # one parameter a column
    sandbox: Sandbox, method: str, path: str, data: Json, status: int, error: Json
) -> None:
    assert ask(sandbox, method, path, **data) == (status, error)


def test_an_unknown_price_is_named_by_its_place(sandbox: Sandbox, account: Account) -> None:
    customer = account.customer()
    answer = ask(sandbox, "POST", "/v1/subscriptions", customer=customer.id, **{"items[0][price]": "price_nope"})
    assert answer == (400, refused("No such price: 'price_nope'", "items[0][price]", "resource_missing"))


def test_one_price_makes_one_item(sandbox: Sandbox, account: Account) -> None:
    customer, price = account.customer(), account.price(100)
    items = {"items[0][price]": price.id, "items[1][price]": price.id}
    text = f"Cannot create a Subscription with multiple Subscription Items with the same Price: {price.id}"
    assert ask(sandbox, "POST", "/v1/subscriptions", customer=customer.id, **items) == (400, refused(text, "plan"))


def test_a_canceled_subscription_is_over(sandbox: Sandbox, account: Account) -> None:
    subscription = account.subscribe(account.customer().id, account.price(0).id)
    path = f"/v1/subscriptions/{subscription.id}"
    account.v1.subscriptions.cancel(subscription.id)
    gone = refused(f"No such subscription: '{subscription.id}'", "id", "resource_missing")
    assert ask(sandbox, "DELETE", path) == (404, gone)
    text = "A canceled subscription can only update its cancellation_details and metadata."
    code = "invalid_canceled_subscription_fields"
    assert ask(sandbox, "POST", path, description="late") == (400, refused(text, code=code))
    assert account.v1.subscriptions.update(subscription.id, {"metadata": {"a": "b"}}).metadata["a"] == "b"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/nothing/here"),
        ("GET", "/v1/customers/search"),
        ("GET", "/v1/invoices/upcoming"),
        ("GET", "/v1/invoices/upcoming/lines"),
        ("GET", "/v1/invoices/create_preview"),
        ("POST", "/v1/events"),
        ("DELETE", "/v1/invoices/search"),
    ],
)
def test_an_unknown_path_is_named_and_not_taken_for_an_id(sandbox: Sandbox, method: str, path: str) -> None:
    status, error = ask(sandbox, method, path)
    assert (status, error["type"]) == (404, "invalid_request_error")
    assert error["message"].startswith(f"Unrecognized request URL ({method}: {path}). The local sandbox has no such")


def test_a_parameter_that_would_be_ignored_is_refused(sandbox: Sandbox) -> None:
    status, error = ask(
        sandbox, "POST", "/v1/customers", tax_exempt="none", **{"cash_balance[settings][reconciliation_mode]": "manual"}
    )
    assert (status, error["code"], error["param"]) == (
        400,
        "sandbox_not_implemented",
        "cash_balance[settings][reconciliation_mode]",
    )


@pytest.mark.parametrize("authorization", ["", "Bearer ", "Bearer pk_live_123", "Basic !!!"])
def test_without_a_test_key_nothing_is_served(sandbox: Sandbox, authorization: str) -> None:
    answer = requests.get(f"{sandbox.url}/v1/customers", headers={"Authorization": authorization}, timeout=5)
    assert answer.status_code == 401
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert "live_123" not in answer.text


def test_an_unknown_version_is_refused(sandbox: Sandbox) -> None:
    headers = KEY | {"Stripe-Version": "not-a-real-version"}
    answer = requests.get(f"{sandbox.url}/v1/customers", headers=headers, timeout=5)
    message = "Invalid Stripe API version: not-a-real-version"
    assert answer.status_code == 400
    assert answer.json() == {"error": {"type": "invalid_request_error", "message": message}}


def test_every_answer_names_its_request_version_and_time(sandbox: Sandbox) -> None:
    answer = requests.get(f"{sandbox.url}/v1/customers", headers=KEY, timeout=5)
    assert answer.headers["Request-Id"].startswith("req_")
    assert answer.headers["Stripe-Version"] == "2026-10-28.endive"
    assert answer.headers["Date"] == "Mon, 21 Sep 2026 14:13:20 GMT"


def test_a_negative_quantity_or_price_is_refused(account: Account) -> None:
    with pytest.raises(InvalidRequestError) as wrong:
        account.price(-5)
    assert (wrong.value.param, wrong.value.code) == ("unit_amount", "parameter_invalid_integer")


def test_a_json_body_is_refused_and_not_taken_for_an_empty_one(sandbox: Sandbox) -> None:
    answer = requests.post(f"{sandbox.url}/v1/customers", json={"name": "x"}, auth=("sk_test_x", ""), timeout=5)
    assert answer.status_code == 400
    assert "form-encoded" in answer.json()["error"]["message"]
