"""Fifty simultaneous clicks on one button, spread over gunicorn's two processes, make one change."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest
import requests

from tests.support.deployment import Deployment

CLICKS = 50
_numbers = count()


@pytest.fixture
def organization_id(running: Deployment) -> str:
    name = f"org_clicks_{next(_numbers)}"
    running.enrol(name)
    return name


def click(stage: Deployment, organization_id: str, keys: list[str]) -> list[requests.Response]:
    """Send one request for each key in parallel. A delay at Stripe keeps the first in flight until all have begun."""
    stage.fault("delay", method="POST", path="/v1/subscriptions/*", seconds=1)

    def press(key: str) -> requests.Response:
        return stage.api(organization_id, "PATCH", "/subscription", key=key, plan="plus", quantity=7)

    with ThreadPoolExecutor(len(keys)) as pool:
        answers = list(pool.map(press, keys))
    assert [fault["fired"] for fault in stage.faults()] == [1]
    return answers


def assert_one_change(stage: Deployment, organization_id: str) -> None:
    changes = "SELECT state FROM plan_changes WHERE organization_id = %s AND to_plan = 'plus'"
    assert stage.rows(changes, organization_id) == [("applied",)]
    [(customer,)] = stage.rows("SELECT stripe_customer_id FROM organizations WHERE id = %s", organization_id)
    assert len(stage.stripe.v1.invoice_items.list({"customer": customer}).data) == 1


def test_clicks_with_the_key_of_a_click_in_flight_hold_no_thread(running: Deployment, organization_id: str) -> None:
    answers = click(running, organization_id, ["click"] * CLICKS)
    [first, *_], early = [each for each in answers if each.ok], [each for each in answers if not each.ok]
    assert {(each.status_code, each.json()["code"]) for each in early} == {(409, "request_in_progress")}
    assert max(each.elapsed.total_seconds() for each in early) < first.elapsed.total_seconds()
    again = running.api(organization_id, "PATCH", "/subscription", key="click", plan="plus", quantity=7)
    assert (again.json(), again.headers["Idempotent-Replayed"]) == (first.json(), "true")
    assert_one_change(running, organization_id)


def test_only_one_of_fifty_clicks_with_fifty_keys_is_accepted(running: Deployment, organization_id: str) -> None:
    answers = click(running, organization_id, [f"click_{number}" for number in range(CLICKS)])
    assert Counter(answer.status_code for answer in answers) == {200: 1, 409: CLICKS - 1}
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {"change_in_progress"}
    assert_one_change(running, organization_id)
