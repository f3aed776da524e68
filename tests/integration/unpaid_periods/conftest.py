import time
from collections.abc import Callable
from datetime import datetime

import pytest

from gateway.db.models import Subscription
from tests.integration.unpaid_periods.debtor import Debtor
from tests.support.api import ApiClient
from tests.support.clock import DAY, StripeTime
from tests.support.saved_state import set_up_once
from tests.support.world import World


@pytest.fixture
def renew(world: World, api: ApiClient, stripe_time: StripeTime) -> Callable[..., Debtor]:
    """Return a function that puts an organization on three units of Plus, and goes to some days after its renewal."""

    def renew(*, card: str, days: int, status: str) -> Debtor:
        def go_to(boundary: str) -> None:
            [row] = world.rows(Subscription)
            stripe_time.ahead = datetime.fromisoformat(row.items[0][boundary]).timestamp() + days * DAY - time.time()

        def set_up() -> None:
            api.ok("PATCH", "/subscription", plan="plus", quantity=3)
            if card != "pm_card_visa":
                api.add_card(world.stripe, card)
            go_to("current_period_end")
            world.settle()

        set_up_once(world, (card, days), set_up)
        go_to("current_period_start")
        [row] = world.rows(Subscription)
        at_stripe = world.stripe.v1.subscriptions.retrieve(row.id)
        assert at_stripe.status == status
        return Debtor(world, api, stripe_time, row.id, str(at_stripe.customer))

    return renew


@pytest.fixture
def debtor(renew: Callable[..., Debtor]) -> Debtor:
    """Return an organization with three units of Plus whose first renewal was declined."""
    found = renew(card="pm_card_chargeCustomerFail", days=1, status="past_due")
    assert found.invoice().status == "open"
    return found
