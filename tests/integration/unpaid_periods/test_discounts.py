"""A discount takes nothing off a charge-back, because the credit that it cancels is net of the discount already."""

import pytest

from tests.integration.unpaid_periods.debtor import Debtor
from tests.support.json_types import Json


@pytest.fixture
def discounted(debtor: Debtor) -> Debtor:
    """Return an organization with a discount of 20 % whose second renewal was declined."""
    v1 = debtor.world.stripe.v1
    coupon = v1.coupons.create({"percent_off": 20, "duration": "forever"})
    v1.subscriptions.update(debtor.subscription, {"discounts": [{"coupon": coupon.id}]})
    debtor.pay()
    found = debtor.fall_behind()
    assert found.invoice().total == found.price * 4 // 5
    return found


@pytest.mark.parametrize("change", [{"plan": "free"}, {"quantity": 1}])
def test_unpaid_time_is_charged_back_without_the_discount(discounted: Debtor, change: Json) -> None:
    quote = discounted.api.ok("POST", "/subscription/preview", **change)
    discounted.api.ok("PATCH", "/subscription", quote=quote["token"])
    assert (quote["credit"], discounted.invoice().amount_remaining) == (0, quote["amount_unpaid"])
    assert discounted.next_total() == quote["amount_due_on_billing_date"]


def test_floor_plan_after_an_unpaid_period_leaves_no_balance(discounted: Debtor) -> None:
    discounted.api.ok("DELETE", "/subscription")
    discounted.pay()
    discounted.wait_for_renewal()
    discounted.wait(days=0.1)
    assert (discounted.pending(), discounted.balance()) == ([], 0)
