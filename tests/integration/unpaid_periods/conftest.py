from datetime import timedelta

import pytest

from gateway.db.models import Subscription
from tests.integration.unpaid_periods.debtor import Debtor
from tests.support.api import ApiClient
from tests.support.clock import StripeTime
from tests.support.world import World


@pytest.fixture
def debtor(world: World, api: ApiClient, stripe_time: StripeTime) -> Debtor:
    """Return an organization with three units of Plus whose first renewal was declined."""
    api.ok("PATCH", "/subscription", plan="plus", quantity=3)
    api.add_card(world.stripe, "pm_card_chargeCustomerFail")
    stripe_time.ahead = timedelta(days=32).total_seconds()
    [row] = world.rows(Subscription)
    assert world.stripe.v1.subscriptions.retrieve(row.id).status == "past_due"
    world.settle()
    found = Debtor(world, api, stripe_time, row.id, str(world.stripe.v1.subscriptions.retrieve(row.id).customer))
    assert found.invoice().status == "open"
    return found
