"""Web or worker dies at each failpoint of a plan change and restarts. The change ends once, within a minute.

The exit status shows that the process died at the failpoint. Only one test waits for the minute to pass. The others
make the jobs of that minute due immediately.
"""

import time
from collections.abc import Mapping

import pytest
import requests

from gateway.failpoints import KILLED, Failpoint
from gateway.services.plan_changes.request import write_intent
from gateway.services.runtime import Caller
from schemas.changes import ChangeCommand
from tests.faults.changes import (
    ASKS_ITS_HOLDER,
    DECLINED,
    GOOD,
    PROMISED,
    approve,
    assert_agreed,
    assert_ended,
    await_end,
    enrol,
    interface,
    is_up,
    last_change,
    let_a_minute_pass,
    start_again,
)
from tests.support.deployment import Deployment
from tests.support.processes import Process
from tests.support.wait import eventually

# Web stores the first call's parameters together with the intent. The job stores those of the remaining calls.
IN_EACH_CHANGE = [Failpoint.INTENT_WRITTEN, Failpoint.STRIPE_ANSWERED, Failpoint.ANSWER_MERGED]
IN_EACH_JOB = [Failpoint.PARAMETERS_FROZEN, Failpoint.STRIPE_ANSWERED, Failpoint.ANSWER_MERGED]
UNPAID = "SELECT count(*) FROM invoices WHERE organization_id = %s AND status = 'open'"
ENDS = {GOOD: "applied", ASKS_ITS_HOLDER: "requires_action", DECLINED: "failed"}
ANSWERED = {"org_good": GOOD, "org_asked": ASKS_ITS_HOLDER}  # Stripe answers a declined card with an error
CONCERNED: Mapping[Failpoint, dict[str, str]] = {
    Failpoint.INTENT_WRITTEN: {"org_good": GOOD},
    Failpoint.STRIPE_ANSWERED: ANSWERED,
    Failpoint.ANSWER_MERGED: ANSWERED,
    Failpoint.PAYMENT_AWAITED: {"org_asked": ASKS_ITS_HOLDER},
    Failpoint.CHANGE_ENDED: {"org_declined": DECLINED},
}


def upgrade_and_die(stage: Deployment, web: Process, organization_id: str) -> None:
    """Request Plus, and wait until the web process has died while handling the request."""
    deaths = web.log().count(f"exited with code {KILLED}")
    eventually(lambda: is_up(stage))  # gunicorn may still be replacing the worker that died before
    with pytest.raises(requests.ConnectionError):
        stage.api(organization_id, "PATCH", "/subscription", plan="plus")
    eventually(lambda: web.log().count(f"exited with code {KILLED}") > deaths)


def intend(stage: Deployment, organization_id: str) -> None:
    """Store only an upgrade's intent, like a web process that dies right after that."""
    caller = Caller(organization_id=organization_id, actor="test")
    write_intent(stage.gateway, caller, ChangeCommand(plan="plus"), None)


def assert_all_is_well(stage: Deployment, organizations: Mapping[str, str]) -> None:
    """Check that each upgrade ended once, in the state that its card allows, and permits another change."""
    for organization_id, card in organizations.items():
        if ENDS[card] == "requires_action":
            assert last_change(stage, organization_id)[1] == "requires_action"
            approve(stage, organization_id)
            eventually(lambda who=organization_id: last_change(stage, who)[1] == "applied")  # type: ignore[misc]  # the default binds the loop variable now
        assert_ended(stage, organization_id, "failed" if card == DECLINED else "applied")
        # The webhooks that report the invoice as open, then as paid or void, may still be in flight.
        eventually(lambda who=organization_id: stage.number(UNPAID, who) == 0)  # type: ignore[misc]  # as above
        with interface(stage, organization_id) as api:
            api.add_card(stage.stripe, GOOD)
            api.ok("PATCH", "/subscription", plan="plus", quantity=2)
        # A refresh settles the change if webhooks about states of the same second are late.
        eventually(lambda who=organization_id: last_change(stage, who)[1] == "applied")  # type: ignore[misc]  # as above
        assert_agreed(stage, organization_id)


@pytest.mark.parametrize("point", IN_EACH_CHANGE)
def test_change_charged_later_survives_the_death_of_web(own: Deployment, point: Failpoint) -> None:
    enrol(own, "org_good", GOOD)
    web = own.serve(dying_at=point)
    upgrade_and_die(own, web, "org_good")
    web.kill()
    start_again(own)
    await_end(own)
    assert_all_is_well(own, {"org_good": GOOD})


@pytest.mark.parametrize("point", CONCERNED)
def test_change_charged_now_survives_the_death_of_web(own_at_once: Deployment, point: Failpoint) -> None:
    organizations = CONCERNED[point]
    for organization_id, card in organizations.items():
        enrol(own_at_once, organization_id, card)
    web = own_at_once.serve(dying_at=point)
    for organization_id in organizations:
        upgrade_and_die(own_at_once, web, organization_id)
    web.kill()
    start_again(own_at_once)
    await_end(own_at_once)
    assert_all_is_well(own_at_once, organizations)


@pytest.mark.parametrize("point", [Failpoint.CUSTOMER_CREATED, Failpoint.STRIPE_ANSWERED])
def test_enrolment_survives_the_death_of_web(own: Deployment, point: Failpoint) -> None:
    web = own.serve(dying_at=point)
    with pytest.raises(requests.ConnectionError):
        own.api("org_1", "POST", "/subscription", plan="free")
    eventually(lambda: f"exited with code {KILLED}" in web.log())
    web.kill()
    start_again(own)
    await_end(own)
    if point is Failpoint.CUSTOMER_CREATED:  # the process died before it stored an intent
        assert own.number("SELECT count(*) FROM plan_changes") == 0
        own.ok("org_1", "POST", "/subscription", plan="free")
    assert assert_agreed(own, "org_1") == "free"
    enrol_again = own.api("org_1", "POST", "/subscription", plan="free")
    assert enrol_again.json()["code"] == "no_change"


def test_enrolment_on_plus_survives_a_death_between_its_two_calls(own: Deployment) -> None:
    with interface(own, "org_good") as api:
        api.add_card(own.stripe, GOOD)
    web = own.serve(dying_at=Failpoint.PARAMETERS_FROZEN)
    with pytest.raises(requests.ConnectionError):
        own.api("org_good", "POST", "/subscription", plan="plus")
    eventually(lambda: f"exited with code {KILLED}" in web.log())
    assert own.rows("SELECT plan FROM organization_plans") == [("free",)], "web died before the first call had ended"
    web.kill()
    start_again(own)
    await_end(own)
    assert_all_is_well(own, {"org_good": GOOD})


@pytest.mark.parametrize("point", IN_EACH_JOB)
def test_change_charged_later_survives_the_death_of_web_and_worker(own: Deployment, point: Failpoint) -> None:
    enrol(own, "org_good", GOOD)
    intend(own, "org_good")
    worker = own.work(dying_at=point)
    let_a_minute_pass(own)
    assert worker.wait() == KILLED
    own.work()
    let_a_minute_pass(own)
    await_end(own)
    assert_all_is_well(own, {"org_good": GOOD})


@pytest.mark.parametrize("point", [Failpoint.PARAMETERS_FROZEN, *list(CONCERNED)[1:]])
def test_change_charged_now_survives_the_death_of_web_and_worker(own_at_once: Deployment, point: Failpoint) -> None:
    organizations = CONCERNED.get(point, {"org_good": GOOD})
    for organization_id, card in organizations.items():
        enrol(own_at_once, organization_id, card)
        intend(own_at_once, organization_id)
    worker = own_at_once.work(dying_at=point)
    let_a_minute_pass(own_at_once)
    assert worker.wait() == KILLED
    start_again(own_at_once)
    await_end(own_at_once)
    assert_all_is_well(own_at_once, organizations)


@pytest.mark.long
def test_change_ends_within_a_real_minute_after_two_deaths(own: Deployment) -> None:
    """Web dies, then the worker dies while finishing the change. Both restart immediately, as under a supervisor."""
    enrol(own, "org_good", GOOD)
    worker = own.work(dying_at=Failpoint.PARAMETERS_FROZEN)
    web = own.serve(dying_at=Failpoint.INTENT_WRITTEN)
    requested_at = time.monotonic()
    upgrade_and_die(own, web, "org_good")
    web.kill()
    own.serve()
    assert worker.wait() == KILLED
    own.work()
    await_end(own, PROMISED - (time.monotonic() - requested_at))
    assert_all_is_well(own, {"org_good": GOOD})
