"""Web is killed while Stripe carries out a plan change. The worker finishes the change, and it is charged once."""

import pytest

from gateway.db import jobs
from gateway.services.webhooks.wakeup import defer_drain
from tests.support.deployment import Deployment
from tests.support.wait import eventually

CHANGE = "SELECT state FROM plan_changes WHERE to_plan = 'plus'"
UNENDED = [("requested",)], [("processing",)]


def let_a_minute_pass(stage: Deployment) -> None:
    """Make the jobs of the next minute due now."""
    stage.rows("UPDATE procrastinate_jobs SET scheduled_at = now() WHERE task_name = %s", jobs.FINISH_CHANGE)
    defer_drain(stage.gateway.database)  # wakes the worker


@pytest.mark.parametrize("back", ["worker alone", "web and worker"])
@pytest.mark.parametrize("stripe_does_it", [True, False], ids=["done at Stripe", "not done at Stripe"])
def test_change_killed_during_its_stripe_call_is_charged_once(
    own: Deployment, *, stripe_does_it: bool, back: str
) -> None:
    web = own.serve()
    ids = own.enrol("org_1")
    path = f"/v1/subscriptions/{ids['subscription']}"
    # Stripe still carries out a delayed call after its caller died. It does not carry out a refused one.
    if stripe_does_it:
        own.fault("delay", method="POST", path=path, seconds=60)
    else:
        own.fault("rate_limit", method="POST", path=path, times=1000)
    own.call_and_leave("org_1", "PATCH", "/subscription", plan="plus")
    eventually(lambda: own.faults()[0]["fired"] > 0)
    assert own.rows(CHANGE) in UNENDED, "the change ended before the kill"
    web.kill()
    own.end_faults()
    eventually(lambda: is_on_plus(own, ids["subscription"]) is stripe_does_it)
    assert own.rows(CHANGE) in UNENDED
    if back != "worker alone":
        own.serve()  # webhooks arrive too
    own.work()
    let_a_minute_pass(own)
    eventually(lambda: own.rows(CHANGE) == [("applied",)])
    assert is_on_plus(own, ids["subscription"])
    assert own.rows("SELECT plan, quantity FROM organization_plans") == [("plus", 1)]
    charged = own.stripe.v1.invoice_items.list({"customer": ids["customer"]}).data
    assert [item.amount > 0 for item in charged if "Plus" in (item.description or "")] == [True]


def is_on_plus(stage: Deployment, subscription: str) -> bool:
    """Return whether Stripe's subscription is on Plus."""
    [item] = stage.stripe.v1.subscriptions.retrieve(subscription).to_dict()["items"]["data"]
    return bool(item["price"]["lookup_key"] == "konnect_plus_usd_month")
