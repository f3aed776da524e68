"""The control route that moves the sandbox's clock."""

import pytest
import requests

from gateway.sandbox import Sandbox
from tests.support.clock import START
from tests.support.stripe_account import StripeAccount


def test_clock_can_be_moved_ahead(sandbox: Sandbox, account: StripeAccount) -> None:
    url = f"{sandbox.url}/_sandbox/clock"
    assert requests.get(url, timeout=5).json() == {"now": START}
    assert requests.post(url, json={"advance": 3600}, timeout=5).json() == {"now": START + 3600}
    requests.post(url, json={"advance": 60}, timeout=5)
    assert requests.get(url, timeout=5).json() == {"now": START + 3660}
    assert account.v1.customers.create({"name": "A"}).created == START + 3660


@pytest.mark.parametrize(
    "body", [{}, [], {"advance": 0}, {"advance": -1}, {"advance": "1"}, {"advance": True}, {"advance": 1, "to": 2}]
)
def test_clock_rejects_a_move_back_or_a_non_number(sandbox: Sandbox, body: object) -> None:
    url = f"{sandbox.url}/_sandbox/clock"
    answer = requests.post(url, json=body, timeout=5)
    assert answer.status_code == 400
    assert "with a number above 0" in answer.json()["error"]["message"]
    assert requests.get(url, timeout=5).json() == {"now": START}


@pytest.mark.parametrize("seconds", [1e12, 1e300])
def test_clock_rejects_a_move_beyond_the_calendar(sandbox: Sandbox, account: StripeAccount, seconds: float) -> None:
    answer = requests.post(f"{sandbox.url}/_sandbox/clock", json={"advance": seconds}, timeout=5)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "advance")
    assert account.v1.customers.create({"name": "A"}).created == START
