"""Grace ends with the invoice that Stripe gives up, whichever is heard of first: that, or the subscription."""

from collections.abc import Iterator
from itertools import groupby

import pytest
import requests

from gateway.services import plan_changes
from schemas.subscription import ChangeCommand
from tests.sandbox.support import DAY
from tests.stateful.expected import Expected
from tests.stateful.found import check_tables
from tests.stateful.stage import Stage
from tests.stateful.test_slow_answers import pass_on


@pytest.fixture
def stage(database_url: str) -> Iterator[Stage]:
    running = Stage(database_url)
    yield running
    running.close()


@pytest.mark.parametrize("last", ["invoice", "subscription"])
def test_grace_ends_whether_the_invoice_or_the_subscription_is_heard_of_last(stage: Stage, last: str) -> None:
    wanted = {"retry_days": [1], "after_retries": "past_due"}
    requests.post(f"{stage.sandbox.url}/_sandbox/settings", json=wanted, timeout=5).raise_for_status()
    plan_changes.change(stage.gateway, stage.caller("org_1"), ChangeCommand(plan="free", enroll=True))
    [customer] = stage.read("/v1/customers")
    stage.account.give_card(customer["id"], "pm_card_chargeCustomerFail")
    pass_on(stage)
    plan_changes.change(stage.gateway, stage.caller("org_1"), ChangeCommand(plan="plus"))
    for days in (31, 2):
        stage.wait(days * DAY)
    told = sorted(stage.hear(), key=lambda event: event["data"]["object"]["object"] == last)
    for _, events in groupby(told, lambda event: event["data"]["object"]["object"] == last):
        for event in events:
            stage.deliver(event)
        stage.drain()
    expected = Expected(stage)
    assert expected.tables["organization_plans"]["org_1"]["standing"] == "suspended"
    check_tables(stage, expected, {"organization_plans": expected.tables["organization_plans"]})
