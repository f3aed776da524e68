"""The drift walk ends if Stripe refuses the API key. It would otherwise pass over every object."""

import pytest
from sqlalchemy import text

from gateway.db.models import Reconciliation
from gateway.errors import StripeRejected
from gateway.services.reconciliation import drift
from tests.support.plans import settled_on_plus
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
