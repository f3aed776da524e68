"""Idempotency keys, under which the sandbox does the work once and replays its response."""

import threading

import pytest
import requests
import stripe

from gateway.sandbox import Sandbox
from gateway.sandbox.errors import StripeError
from gateway.sandbox.idempotency import IdempotencyKeys
from tests.support.clock import ManualClock
from tests.support.stripe_account import StripeAccount


def post(sandbox: Sandbox, path: str, key: str, **data: str) -> requests.Response:
    headers = {"Authorization": "Bearer sk_test_x", "Idempotency-Key": key}
    return requests.post(sandbox.url + path, headers=headers, data=data, timeout=5)


def test_repeated_request_gets_the_same_response(sandbox: Sandbox, account: StripeAccount) -> None:
    first = post(sandbox, "/v1/customers", "k", name="A")
    again = post(sandbox, "/v1/customers", "k", name="A")
    assert again.content == first.content
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.headers["Idempotency-Key"] == "k"
    assert "Idempotent-Replayed" not in first.headers
    assert len(account.v1.customers.list().data) == 1


def test_same_key_with_other_parameters_is_refused(account: StripeAccount) -> None:
    account.v1.customers.create({"name": "A"}, {"idempotency_key": "k"})
    with pytest.raises(stripe.IdempotencyError, match="other than 'k'") as refused:
        account.v1.customers.create({"name": "B"}, {"idempotency_key": "k"})
    assert refused.value.http_status == 400


def test_refusal_by_the_handler_is_stored(account: StripeAccount) -> None:
    customer = account.customer("pm_card_chargeCustomerFail")
    price = account.price(2000)
    for _ in range(2):
        with pytest.raises(stripe.CardError):
            account.v1.subscriptions.create(
                {
                    "customer": customer.id,
                    "items": [{"price": price.id}],
                    "payment_behavior": "error_if_incomplete",
                },
                {"idempotency_key": "k"},
            )
        account.give_card(customer.id, "pm_card_visa")


def test_request_that_fails_validation_leaves_the_key_free(sandbox: Sandbox) -> None:
    assert post(sandbox, "/v1/customers", "k", wat="x").status_code == 400
    assert post(sandbox, "/v1/customers", "k", name="A").status_code == 200


def test_key_expires_after_a_day(sandbox: Sandbox, clock: ManualClock) -> None:
    first = post(sandbox, "/v1/customers", "k", name="A").json()
    clock.now += 24 * 3600
    assert post(sandbox, "/v1/customers", "k", name="A").json()["id"] != first["id"]


def test_key_in_use_is_a_conflict() -> None:
    keys = IdempotencyKeys()
    assert keys.claim("k", "k", "same", 0) is None
    with pytest.raises(StripeError) as refused:
        keys.claim("k", "k", "same", 1)
    assert (refused.value.status, refused.value.fields["code"]) == (409, "idempotency_key_in_use")


def test_concurrent_requests_with_one_key_create_one_object(sandbox: Sandbox, account: StripeAccount) -> None:
    answers: list[requests.Response] = []
    threads = [
        threading.Thread(target=lambda: answers.append(post(sandbox, "/v1/customers", "k", name="A"))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status_code for answer in answers} <= {200, 409}
    assert len(account.v1.customers.list().data) == 1
