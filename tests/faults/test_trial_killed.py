"""A process dies while a trial begins or gets longer. The organization gets exactly one trial, of the right length."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests

from gateway.failpoints import KILLED, Failpoint
from tests.faults.changes import await_end, let_a_minute_pass, start_again
from tests.support.catalogs import write_catalog
from tests.support.deployment import Deployment
from tests.support.wait import eventually


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    return write_catalog(tmp_path / "catalog.toml", trial_days=30)


@pytest.mark.long
@pytest.mark.parametrize(
    "point",
    [
        Failpoint.PARAMETERS_FROZEN,  # between the call that enrols and the one that begins the trial
        Failpoint.INTENT_WRITTEN,
        Failpoint.STRIPE_ANSWERED,
        Failpoint.ANSWER_MERGED,
    ],
)
def test_a_trial_begins_once_although_web_dies(own: Deployment, point: Failpoint) -> None:
    web = own.serve(dying_at=point)
    with pytest.raises(requests.ConnectionError):
        own.api("org_1", "POST", "/subscription")
    eventually(lambda: f"exited with code {KILLED}" in web.log())
    web.kill()
    start_again(own)
    await_end(own)
    details = own.ok("org_1", "GET", "/subscription")
    assert (details["plan"], details["status"], details["trial"]["days_left"]) == ("plus", "trialing", 30)
    assert own.rows("SELECT organization_id, reason FROM trials") == [("org_1", "started")]
    assert own.api("org_1", "POST", "/subscription", trial=True).json()["code"] == "trial_unavailable"


@pytest.mark.long
@pytest.mark.parametrize(
    "point",
    [Failpoint.BILLING_INTENT_RESERVED, Failpoint.BILLING_INTENT_ANSWERED, Failpoint.BILLING_INTENT_RELEASED],
)
def test_a_longer_trial_is_completed_although_the_command_dies(own: Deployment, point: Failpoint) -> None:
    own.serve()
    own.ok("org_1", "POST", "/subscription")
    until = (datetime.now(UTC) + timedelta(days=50)).date()
    command = ("grants", "extend-trial", "org_1", "--until", str(until), "--reason", "Vacation", "--by", "ada")
    assert own.command(*command, dying_at=point).returncode == KILLED
    own.work()
    let_a_minute_pass(own)
    eventually(lambda: own.number("SELECT count(*) FROM billing_intents") == 0)
    assert own.ok("org_1", "GET", "/subscription")["trial"]["ends_at"].startswith(str(until))
    [(grant,)] = own.rows("SELECT id FROM grants WHERE ended_at IS NULL")
    assert own.rows("SELECT actor FROM plan_history WHERE cause = %s", grant) == [("ada",)]
