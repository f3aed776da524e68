"""Months of an organization whose customer is on a test clock of Stripe. The clock of the others stays as it is.

https://docs.stripe.com/billing/testing/test-clocks
"""

from datetime import datetime, timedelta

from gateway.stripe_api.snapshots import ORGANIZATION_ID_KEY
from gateway.stripe_api.times import to_unix
from tests.support.visitor import Visitor
from tests.support.wait import eventually

CALCULATED = timedelta(days=-3, minutes=1)
FAILED = timedelta(hours=2)
GIVEN_UP = timedelta(days=16)
ADOPTED = "SELECT count(*) FROM organizations WHERE id = %s AND stripe_customer_id IS NOT NULL"


class Month:
    """A month of Plus that ends with a card that Stripe declines. Times are relative to the end of the month."""

    def __init__(self, visitor: Visitor) -> None:
        """Create a customer on a test clock, as another program would, and subscribe."""
        self._clocks = visitor.deployment.stripe.v1.test_helpers.test_clocks
        self._clock = self._clocks.create({"frozen_time": to_unix(visitor.deployment.gateway.clock())}).id
        visitor.deployment.ok(visitor.organization, "GET", "/subscription")
        visitor.deployment.stripe.v1.customers.create(
            {"test_clock": self._clock, "metadata": {ORGANIZATION_ID_KEY: visitor.organization}}
        )
        eventually(lambda: visitor.deployment.number(ADOPTED, visitor.organization) == 1)
        visitor.subscribe()
        visitor.use_card("pm_card_chargeCustomerFail")
        self._end = datetime.fromisoformat(visitor.details()["current_period"]["end"])

    def advance(self, offset: timedelta) -> None:
        """Move the test clock, and wait until Stripe has done everything that falls due."""
        self._clocks.advance(self._clock, {"frozen_time": to_unix(self._end + offset)})
        eventually(lambda: self._clocks.retrieve(self._clock).status == "ready")
