"""Injected faults of the API: rate limits, failures before and after the work, delays and lost responses."""

import threading
import time

import pytest
import requests
import stripe

from gateway.sandbox import Sandbox
from tests.support.clock import ManualClock
from tests.support.faults import end_faults, list_faults, request_fault
from tests.support.json_types import Json
from tests.support.stripe_account import StripeAccount, client
from tests.support.wait import eventually


def post(sandbox: Sandbox, path: str = "/v1/customers", key: str = "k", **data: str) -> requests.Response:
    headers = {"Authorization": "Bearer sk_test_x", "Idempotency-Key": key}
    return requests.post(sandbox.url + path, headers=headers, data=data, timeout=10)


def customer_count(account: StripeAccount) -> int:
    return len(account.v1.customers.list().data)


def test_rate_limit_names_its_reason_and_frees_the_key(sandbox: Sandbox, account: StripeAccount) -> None:
    request_fault(sandbox.url, kind="rate_limit")
    limited = post(sandbox)
    assert (limited.status_code, limited.headers["Stripe-Rate-Limited-Reason"]) == (429, "endpoint-rate")
    assert limited.json()["error"]["type"] == "invalid_request_error"
    again = post(sandbox)
    assert again.status_code == 200
    assert "Idempotent-Replayed" not in again.headers
    assert customer_count(account) == 1


def test_lock_timeout_has_a_code_but_no_reason_and_frees_the_key(sandbox: Sandbox, account: StripeAccount) -> None:
    request_fault(sandbox.url, kind="lock_timeout")
    limited = post(sandbox)
    assert (limited.status_code, limited.json()["error"]["code"]) == (429, "lock_timeout")
    assert "Stripe-Rate-Limited-Reason" not in limited.headers
    assert post(sandbox).status_code == 200
    assert customer_count(account) == 1


def test_sdk_raises_its_own_errors_for_faults(sandbox: Sandbox, account: StripeAccount) -> None:
    request_fault(sandbox.url, kind="rate_limit", method="POST")
    request_fault(sandbox.url, kind="error_before", method="GET")
    with pytest.raises(stripe.RateLimitError):
        account.v1.customers.create({"name": "A"})
    with pytest.raises(stripe.APIError) as failed:
        account.v1.customers.list()
    assert failed.value.http_status == 500


@pytest.mark.parametrize(("kind", "done"), [("error_before", 0), ("error_after", 1)])
def test_failure_is_stored_under_its_key_for_a_day(
    sandbox: Sandbox, account: StripeAccount, clock: ManualClock, kind: str, done: int
) -> None:
    request_fault(sandbox.url, kind=kind)
    first = post(sandbox, name="A")
    assert (first.status_code, first.json()["error"]["type"]) == (500, "api_error")
    clock.now += 24 * 3600 - 1
    again = post(sandbox, name="A")
    assert (again.status_code, again.content, again.headers["Idempotent-Replayed"]) == (500, first.content, "true")
    assert customer_count(account) == done
    clock.now += 1
    assert post(sandbox, name="A").status_code == 200
    assert customer_count(account) == done + 1


def test_work_done_before_a_failure_creates_events(sandbox: Sandbox, account: StripeAccount) -> None:
    request_fault(sandbox.url, kind="error_after")
    post(sandbox, name="A")
    (event,) = account.events(type="customer.created")
    assert event.request is not None
    assert event.request.idempotency_key == "k"


def test_lost_response_is_replayed_to_the_retry(sandbox: Sandbox, account: StripeAccount) -> None:
    request_fault(sandbox.url, kind="response_lost")
    with pytest.raises(requests.ConnectionError):
        post(sandbox, name="A")
    again = post(sandbox, name="A")
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (200, "true")
    assert [row.id for row in account.v1.customers.list().data] == [again.json()["id"]]


def test_sdk_retries_after_a_lost_response(sandbox: Sandbox, account: StripeAccount) -> None:
    request_fault(sandbox.url, kind="response_lost")
    retrying = stripe.StripeClient("sk_test_sandbox", base_addresses={"api": sandbox.url}, max_network_retries=1)
    assert retrying.v1.customers.create({"name": "A"}).name == "A"
    assert customer_count(account) == 1


def test_key_is_in_use_while_its_request_is_delayed(sandbox: Sandbox, account: StripeAccount) -> None:
    request_fault(sandbox.url, kind="delay", method="POST", seconds=60)
    answers: list[requests.Response] = []
    waiting = threading.Thread(target=lambda: answers.append(post(sandbox, name="A")))
    waiting.start()
    eventually(lambda: list_faults(sandbox.url)[0]["fired"] == 1)
    conflict = post(sandbox, name="A")
    assert (conflict.status_code, conflict.json()["error"]["code"]) == (409, "idempotency_key_in_use")
    assert customer_count(account) == 0  # the server still answers other requests
    end_faults(sandbox.url)
    waiting.join(5)
    assert [answer.status_code for answer in answers] == [200]
    assert post(sandbox, name="A").headers["Idempotent-Replayed"] == "true"


def test_key_that_expires_during_a_delayed_request_does_no_harm(sandbox: Sandbox, clock: ManualClock) -> None:
    request_fault(sandbox.url, kind="delay", method="POST", seconds=60)
    answers: list[requests.Response] = []
    waiting = threading.Thread(target=lambda: answers.append(post(sandbox, name="A")))
    waiting.start()
    eventually(lambda: list_faults(sandbox.url)[0]["fired"] == 1)
    clock.now += 24 * 3600
    assert post(sandbox, key="other").status_code == 200
    end_faults(sandbox.url)
    waiting.join(5)
    assert [answer.status_code for answer in answers] == [200]


def test_delay_lasts_as_long_as_requested(sandbox: Sandbox) -> None:
    request_fault(sandbox.url, kind="delay", seconds=0.2)
    started = time.monotonic()
    assert post(sandbox).status_code == 200
    assert time.monotonic() - started >= 0.2


def test_close_does_not_wait_for_a_delay() -> None:
    with Sandbox() as sandbox:
        request_fault(sandbox.url, kind="delay", seconds=600)
        waiting = threading.Thread(target=post, args=(sandbox,))
        waiting.start()
        eventually(lambda: list_faults(sandbox.url)[0]["fired"] == 1)
        started = time.monotonic()
    waiting.join(5)
    assert time.monotonic() - started < 5


def test_fault_strikes_only_matching_requests_after_the_skipped(sandbox: Sandbox, account: StripeAccount) -> None:
    customer, price = account.customer(), account.price(0)
    request_fault(sandbox.url, kind="error_before", method="POST", path="/v1/subscriptions/*", skip=1, times=2)
    subscription = account.subscribe(customer.id, price.id)
    account.v1.subscriptions.retrieve(subscription.id)
    statuses = [post(sandbox, f"/v1/subscriptions/{subscription.id}", key=str(n)).status_code for n in range(4)]
    assert statuses == [200, 500, 500, 200]
    (fault,) = list_faults(sandbox.url)
    assert (fault["fired"], fault["left"]) == (2, 0)


def test_replay_uses_up_no_fault(sandbox: Sandbox) -> None:
    request_fault(sandbox.url, kind="error_before", times=2)
    post(sandbox)
    post(sandbox)
    assert list_faults(sandbox.url)[0]["left"] == 1


def test_two_faults_of_one_kind_strike_in_turn(sandbox: Sandbox) -> None:
    request_fault(sandbox.url, kind="error_before")
    request_fault(sandbox.url, kind="error_before", method="POST")
    assert [post(sandbox, key=str(n)).status_code for n in range(3)] == [500, 500, 200]


def test_refused_request_uses_up_no_fault(sandbox: Sandbox) -> None:
    request_fault(sandbox.url, kind="rate_limit")
    assert post(sandbox, wat="x").status_code == 400
    assert list_faults(sandbox.url)[0]["left"] == 1


def test_clear_ends_all_faults(sandbox: Sandbox) -> None:
    request_fault(sandbox.url, kind="rate_limit", times=1000)
    end_faults(sandbox.url)
    assert list_faults(sandbox.url) == []
    assert post(sandbox).status_code == 200


def test_fault_is_listed_with_its_defaults(sandbox: Sandbox) -> None:
    assert request_fault(sandbox.url, kind="delay", seconds=0.5) == {
        "kind": "delay",
        "method": "*",
        "path": "*",
        "seconds": 0.5,
        "times": 1,
        "skip": 0,
        "fired": 0,
        "left": 1,
    }


@pytest.mark.parametrize(
    ("fault", "param", "words"),
    [
        ({"kind": "earthquake"}, "kind", "Unknown kind of fault: 'earthquake'. The kinds are rate_limit, lock_timeout"),
        ({}, "kind", "Unknown kind of fault: None"),
        ({"kind": ["delay"]}, "kind", "Unknown kind of fault: ['delay']"),
        ({"kind": "delay", "seconds": 1, "after": 2}, "after", "has no field after. Its fields are method"),
        ({"kind": "rate_limit", "seconds": 1}, "seconds", "has no field seconds"),
        ({"kind": "delay"}, "seconds", "a number above 0"),
        ({"kind": "delay", "seconds": "1"}, "seconds", "a number above 0"),
        ({"kind": "delay", "seconds": True}, "seconds", "a number above 0"),
        ({"kind": "rate_limit", "times": 0}, "times", "a whole number of at least 1"),
        ({"kind": "rate_limit", "times": 1.5}, "times", "a whole number of at least 1"),
        ({"kind": "rate_limit", "times": None}, "times", "a whole number of at least 1"),
        ({"kind": "rate_limit", "skip": -1}, "skip", "a whole number of at least 0"),
        ({"kind": "rate_limit", "method": "post"}, "method", "GET, POST, DELETE or *"),
        ({"kind": "rate_limit", "path": "v1/customers"}, "path", "in which * matches anything"),
        ({"kind": "webhook_dropped", "event": "invoice.eaten"}, "event", "one of Stripe's event types"),
        ({"kind": "webhook_burst", "count": 1}, "count", "a whole number of at least 2"),
    ],
)
def test_invalid_fault_is_refused_with_the_reason(sandbox: Sandbox, fault: Json, param: str, words: str) -> None:
    answer = requests.post(f"{sandbox.url}/_sandbox/faults", json=fault, timeout=5)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["param"], error["type"]) == (param, "invalid_request_error")
    assert words in error["message"]
    assert list_faults(sandbox.url) == []


@pytest.mark.parametrize(("body", "words"), [("{", "must be JSON"), ("[]", "a JSON object"), ("", "must be JSON")])
def test_body_that_is_no_json_object_is_refused(sandbox: Sandbox, body: str, words: str) -> None:
    answer = requests.post(f"{sandbox.url}/_sandbox/faults", data=body, timeout=5)
    assert answer.status_code == 400
    assert words in answer.json()["error"]["message"]


def test_stripe_route_under_the_control_path_requires_a_key(sandbox: Sandbox) -> None:
    answer = requests.get(f"{sandbox.url}/_sandbox/customers", timeout=5)
    assert answer.status_code == 401
    with pytest.raises(stripe.AuthenticationError):
        client(sandbox, "sk_live_x").v1.customers.list()
