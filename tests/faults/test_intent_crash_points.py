"""Web or worker dies at each named place of a billing operation. The operation is done once, within a minute."""

import pytest

from gateway.failpoints import KILLED, Failpoint
from gateway.services.intents.reservation import Kind
from tests.faults.changes import PROMISED, is_up, let_a_minute_pass, start_again
from tests.faults.operations import IN_FLIGHT, WANTS, assert_done_once
from tests.support.deployment import Deployment
from tests.support.wait import eventually

CONCERNED = {
    Failpoint.BILLING_INTENT_RESERVED: list(WANTS),
    Failpoint.INVOICE_VOIDED: [Kind.ABANDON_CHANGE],
    Failpoint.BILLING_INTENT_ANSWERED: list(WANTS),
    Failpoint.BILLING_INTENT_RELEASED: list(WANTS),
}


@pytest.mark.parametrize("point", CONCERNED)
def test_web_dies_in_a_billing_operation(own_at_once: Deployment, point: Failpoint) -> None:
    wanted = [WANTS[kind](own_at_once) for kind in CONCERNED[point]]
    web = own_at_once.serve(dying_at=point)
    for number, each in enumerate(wanted, 1):
        eventually(lambda: is_up(own_at_once))
        each.ask()
        eventually(lambda deaths=number: web.log().count(f"exited with code {KILLED}") == deaths)  # type: ignore[misc]  # a default, so that it binds now
    web.kill()
    left = 0 if point is Failpoint.BILLING_INTENT_RELEASED else len(wanted)
    assert own_at_once.number(IN_FLIGHT) == left
    start_again(own_at_once)
    eventually(lambda: own_at_once.number(IN_FLIGHT) == 0, PROMISED)
    for each in wanted:
        assert_done_once(each)


@pytest.mark.parametrize(
    ("point", "kind"),
    [
        *((Failpoint.BILLING_INTENT_ANSWERED, kind) for kind in WANTS),
        (Failpoint.BILLING_INTENT_RELEASED, Kind.PAY_INVOICE),
    ],
)
def test_worker_dies_as_well_in_a_billing_operation(own_at_once: Deployment, point: Failpoint, kind: Kind) -> None:
    wanted = WANTS[kind](own_at_once)
    wanted.reserve()
    worker = own_at_once.work(dying_at=point)
    let_a_minute_pass(own_at_once)
    assert worker.wait() == KILLED
    start_again(own_at_once)
    eventually(lambda: own_at_once.number(IN_FLIGHT) == 0, PROMISED)
    assert_done_once(wanted)
