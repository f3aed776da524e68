"""A plan change makes at most two calls to Stripe, without its quote."""

import pytest

from gateway.catalog import Charge
from gateway.services.plan_changes.request import change_plan
from schemas.changes import ChangeCommand
from tests.stateful.convergence.shop import QuotingShop
from tests.stateful.convergence.stepped_gateway import SteppedGateway

AT_MOST = 2
MOVES = [
    ChangeCommand(plan="plus"),
    ChangeCommand(quantity=5),
    ChangeCommand(quantity=2),
    ChangeCommand(plan="free"),
    ChangeCommand(plan="plus", quantity=3),
]
ENROLMENT = ["get /v1/customers/search", "post /v1/customers", "get /v1/subscriptions", "post /v1/subscriptions"]


@pytest.mark.parametrize("charge", ["on_billing_date", "now"])
@pytest.mark.parametrize("wait", [0, 3600])
def test_a_change_calls_stripe_at_most_twice(stage: SteppedGateway, charge: Charge, wait: int) -> None:
    shop = QuotingShop(stage, "usd", charge, 25_000)
    calls = []
    for move in MOVES:
        stage.wait(wait)
        before = len(stage.line.calls)
        assert change_plan(stage.gateway, shop.caller, move).state == "applied"
        calls.append(stage.line.calls[before:])
    assert all(len(each) <= AT_MOST for each in calls), calls
    looks_up_the_card, *others = calls  # no webhook has reported the card
    assert len(looks_up_the_card) == AT_MOST
    assert [len(each) for each in others] == [1] * len(others)


def test_an_enrolment_calls_stripe_four_times(stage: SteppedGateway) -> None:
    before = len(stage.line.calls)
    change_plan(stage.gateway, stage.caller("org_1"), ChangeCommand(plan="free", enroll=True))
    assert stage.line.calls[before:] == ENROLMENT
