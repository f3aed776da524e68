"""The drift walk ends if Stripe refuses the API key. It would otherwise pass over every object."""

import pytest
from sqlalchemy import text

from gateway.db.models import Reconciliation
from gateway.errors import StripeRejected
from gateway.sandbox import Sandbox
from gateway.services.reconciliation import drift
from tests.support.clock import StripeTime
from tests.support.faults import before_each_request
from tests.support.plans import settled_on_plus
from tests.support.reconciliation import drop_webhooks, set_quantity_at_stripe
from tests.support.world import World


def cursors(world: World) -> list[str | None]:
    return [run.cursor for run in world.rows(Reconciliation)]


def test_key_refused_for_an_unlisted_object_keeps_the_cursor(world: World) -> None:
    settled_on_plus(world)
    with world.gateway.database.transaction() as session:
        session.execute(text("UPDATE subscriptions SET id = 'sub_unlisted'"))
    walk = drift.walk(world.gateway)
    while next(walk).progress.cursor != "unlisted_subscriptions":
        pass
    world.spoil_key()
    with pytest.raises(StripeRejected):
        next(walk)
    assert cursors(world) == ["unlisted_subscriptions"]


def test_key_refused_while_a_page_is_healed_keeps_the_cursor(
    world: World, sandbox: Sandbox, stripe_time: StripeTime
) -> None:
    settled_on_plus(world)
    drop_webhooks(world, sandbox)
    stripe_time.ahead = 60
    set_quantity_at_stripe(world, 7)

    def spoil_key(request: str) -> None:
        if request == "GET /v1/subscriptions":  # the walk's list. The refresh of the subscription follows
            world.spoil_key()

    before_each_request(sandbox, spoil_key)
    with pytest.raises(StripeRejected):
        list(drift.walk(world.gateway))
    assert cursors(world) == ["subscriptions"]
    assert world.plan_row().quantity == 2
