"""A slow answer of Stripe may show a state that was already over when the answer arrived."""

from typing import Any

import pytest

from gateway.db import jobs
from gateway.services.mirror.refresh import refresh
from gateway.services.mirror.refresh_jobs import defer_refresh
from gateway.services.plan_changes.request import change_plan
from schemas.changes import ChangeCommand
from tests.stateful.convergence.expected import Expected
from tests.stateful.convergence.found import check_tables
from tests.stateful.convergence.stepped_gateway import SteppedGateway, pass_on


def test_refreshes_back_off_while_stripe_is_slow(stage: SteppedGateway) -> None:
    change_plan(stage.gateway, stage.caller("org_1"), ChangeCommand(plan="free", enroll=True))
    pass_on(stage)
    [subscription] = stage.read("/v1/subscriptions")
    with stage.gateway.database.transaction() as session:
        defer_refresh(session, "subscription", subscription["id"])
    waits = []
    for _ in range(12):
        [job] = [each for each in stage.jobs() if each.task == jobs.REFRESH]
        stage.line.meanwhile, stage.line.dates_late = lambda: stage.wait(3), True
        stage.work(job)
        [again] = [each for each in stage.jobs() if each.task == jobs.REFRESH]
        assert again.at is not None
        waits.append((again.at - stage.now()).total_seconds())
        stage.wait(waits[-1])
    assert waits[:4] == [10, 20, 40, 80]
    assert waits[-1] == 3600
    stage.work(again)
    assert [each for each in stage.jobs() if each.task == jobs.REFRESH] == []


@pytest.mark.parametrize("heard", [True, False], ids=["delivered during the refresh", "delivered after the refresh"])
def test_an_edit_during_a_slow_refresh_is_not_lost(stage: SteppedGateway, *, heard: bool) -> None:
    command = ChangeCommand(plan="free", enroll=True)
    change_plan(stage.gateway, stage.caller("org_1"), command)
    pass_on(stage)
    stage.wait(60)
    [subscription] = stage.read("/v1/subscriptions")
    items: Any = {"items": [{"id": subscription["items"]["data"][0]["id"], "quantity": 7}]}

    def edit() -> None:
        stage.account.v1.subscriptions.update(subscription["id"], items)
        if heard:
            pass_on(stage)
        stage.wait(10)

    stage.line.meanwhile, stage.line.dates_late = edit, True
    refresh(stage.gateway, "subscription", subscription["id"])
    pass_on(stage)
    stage.wait(60)
    for job in stage.due():
        stage.work(job)
    expected = Expected(stage)
    assert expected.tables["organization_plans"]["org_1"]["quantity"] == 7
    check_tables(stage, expected, expected.tables)
