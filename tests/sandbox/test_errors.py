"""Error responses, compared with those recorded from Stripe's API (2026-08-26.dahlia)."""

import json
from pathlib import Path
from typing import Any

import pytest
import requests
from stripe import InvalidRequestError

from gateway.sandbox import Sandbox
from tests.support.json_types import Json
from tests.support.stripe_account import StripeAccount

KEY = {"Authorization": "Bearer sk_test_sandbox"}
RECORDED: list[Json] = json.loads(Path(__file__).with_name("recorded_errors.json").read_text())


@pytest.fixture
def placeholders(account: StripeAccount) -> dict[str, str]:
    """Return the values of the names that recorded requests contain in braces."""
    customer, price = account.customer(), account.price(2000)
    canceled = account.subscribe(customer.id, price.id)
    ended = account.v1.subscriptions.cancel(canceled.id, {"prorate": True, "invoice_now": True})
    account.v1.customers.create({"name": "A"}, {"idempotency_key": "used"})
    return {
        "canceled": canceled.id,
        "customer": customer.id,
        "customer_needing_action": account.customer("pm_card_authenticationRequired").id,
        "customer_without_card": account.customer(None).id,
        "draft": str(ended.latest_invoice),
        "paid": str(canceled.latest_invoice),
        "price": price.id,
        "used_key": "used",
    }


def fill_in(row: Any, placeholders: dict[str, str]) -> Any:
    """Return the row with each name in braces replaced by its value."""
    if isinstance(row, dict):
        return {key: fill_in(value, placeholders) for key, value in row.items()}
    return row.format(**placeholders) if isinstance(row, str) else row


@pytest.mark.parametrize("row", RECORDED, ids=lambda row: str(row["case"]))
def test_request_is_refused_as_recorded(sandbox: Sandbox, placeholders: dict[str, str], row: Json) -> None:
    asked = fill_in({key: row.get(key, {}) for key in ("path", "form", "headers")}, placeholders)
    answer = requests.request(
        row["method"], sandbox.url + asked["path"], headers=KEY | asked["headers"], data=asked["form"], timeout=5
    )
    log = f"https://dashboard.stripe.com/test/logs/{answer.headers['Request-Id']}"
    assert answer.status_code == row["status"]
    assert answer.json() == {"error": fill_in(row["error"], placeholders | {"request_log_url": log})}


def ask(sandbox: Sandbox, method: str, path: str, **data: Any) -> tuple[int, Json]:
    """Send a request and return the response's status and error."""
    answer = requests.request(method, sandbox.url + path, headers=KEY, data=data, timeout=5)
    return answer.status_code, answer.json()["error"]


def test_canceled_subscription_still_accepts_metadata(account: StripeAccount) -> None:
    subscription = account.subscribe(account.customer().id, account.price(0).id)
    account.v1.subscriptions.cancel(subscription.id)
    assert account.v1.subscriptions.update(subscription.id, {"metadata": {"a": "b"}}).metadata["a"] == "b"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/nothing/here"),
        ("GET", "/v1/subscriptions/search"),
        ("GET", "/v1/invoices/upcoming"),
        ("GET", "/v1/invoices/upcoming/lines"),
        ("GET", "/v1/invoices/create_preview"),
        ("POST", "/v1/events"),
        ("DELETE", "/v1/invoices/search"),
    ],
)
def test_unknown_path_is_named_and_not_mistaken_for_an_id(sandbox: Sandbox, method: str, path: str) -> None:
    status, error = ask(sandbox, method, path)
    assert (status, error["type"]) == (404, "invalid_request_error")
    assert error["message"].startswith(f"Unrecognized request URL ({method}: {path}). The local sandbox has no such")


def test_parameter_that_would_be_ignored_is_refused(sandbox: Sandbox) -> None:
    status, error = ask(
        sandbox, "POST", "/v1/customers", tax_exempt="none", **{"cash_balance[settings][reconciliation_mode]": "manual"}
    )
    assert (status, error["code"], error["param"]) == (
        400,
        "sandbox_not_implemented",
        "cash_balance[settings][reconciliation_mode]",
    )


@pytest.mark.parametrize("authorization", ["", "Bearer ", "Bearer pk_live_123", "Basic !!!"])
def test_request_without_a_test_key_is_refused(sandbox: Sandbox, authorization: str) -> None:
    answer = requests.get(f"{sandbox.url}/v1/customers", headers={"Authorization": authorization}, timeout=5)
    assert answer.status_code == 401
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert "live_123" not in answer.text


def test_every_response_names_its_request_version_and_time(sandbox: Sandbox) -> None:
    answer = requests.get(f"{sandbox.url}/v1/customers", headers=KEY, timeout=5)
    assert answer.headers["Request-Id"].startswith("req_")
    assert answer.headers["Stripe-Version"] == "2026-10-28.endive"
    assert answer.headers["Date"] == "Mon, 21 Sep 2026 14:13:20 GMT"


def test_negative_quantity_or_price_is_refused(account: StripeAccount) -> None:
    with pytest.raises(InvalidRequestError) as wrong:
        account.price(-5)
    assert (wrong.value.param, wrong.value.code) == ("unit_amount", "parameter_invalid_integer")


def test_json_body_is_refused_and_not_read_as_empty(sandbox: Sandbox) -> None:
    answer = requests.post(f"{sandbox.url}/v1/customers", json={"name": "x"}, auth=("sk_test_x", ""), timeout=5)
    assert answer.status_code == 400
    assert "form-encoded" in answer.json()["error"]["message"]


@pytest.mark.parametrize(("interval", "count"), [("month", 0), ("day", -1), ("year", 4), ("week", 157)])
def test_price_interval_is_at_most_three_years(account: StripeAccount, interval: str, count: int) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        account.price(100, recurring={"interval": interval, "interval_count": count})
    assert refused.value.param == "recurring[interval_count]"
