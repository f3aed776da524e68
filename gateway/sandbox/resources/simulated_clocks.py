"""Endpoints of test clocks (https://docs.stripe.com/api/test_clocks)."""

from stripe.params.test_helpers import (
    TestClockAdvanceParams,
    TestClockCreateParams,
    TestClockDeleteParams,
    TestClockListParams,
    TestClockRetrieveParams,
)

from gateway.sandbox.clock import LATEST
from gateway.sandbox.clocks import KIND
from gateway.sandbox.errors import invalid
from gateway.sandbox.json_types import Json
from gateway.sandbox.objects.simulated_clock import build
from gateway.sandbox.objects.subscription import ENDED, items_of
from gateway.sandbox.pagination import CURSORS, page
from gateway.sandbox.periods import boundary
from gateway.sandbox.resources import customers
from gateway.sandbox.routing import Routes
from gateway.sandbox.settings import DAY
from gateway.sandbox.work import Work

routes = Routes()
_INTERVALS = 2
_FARTHEST = 2 * 365 * DAY


@routes.post("/v1/test_helpers/test_clocks", TestClockCreateParams, "frozen_time name")
def create(work: Work, params: Json) -> Json:
    """Create a test clock, which stands still until a request advances it."""
    if not 0 <= params["frozen_time"] <= LATEST:
        text = "A test clock of the local sandbox must be between 1970 and 2100."
        raise invalid(text, param="frozen_time")
    return work.add(build(work, params))


@routes.get("/v1/test_helpers/test_clocks/{test_clock}", TestClockRetrieveParams)
def retrieve(work: Work, params: Json, test_clock: str) -> Json:
    """Return a test clock. Its status says whether it has finished advancing."""
    return work.get(KIND, test_clock, param="test_clock")


@routes.get("/v1/test_helpers/test_clocks", TestClockListParams, CURSORS)
def list_all(work: Work, params: Json) -> Json:
    """List all test clocks."""
    return page(work, work.select(KIND), params, kind=KIND, url="/v1/test_helpers/test_clocks")


@routes.post("/v1/test_helpers/test_clocks/{test_clock}/advance", TestClockAdvanceParams, "frozen_time")
def advance(work: Work, params: Json, test_clock: str) -> Json:
    """Start advancing the clock.

    The sandbox bills everything that falls due on the way, in order. Then the clock is ``ready``.
    """
    clock = work.get(KIND, test_clock, param="test_clock")
    target = params["frozen_time"]
    if target <= clock["frozen_time"]:
        raise invalid("The frozen time must be after the test clock's current frozen time.", param="frozen_time")
    if target > _farthest(work, clock):
        text = (
            f"A request can advance a test clock by at most {_INTERVALS} intervals of its shortest subscription, "
            "or by two years without a subscription."
        )
        raise invalid(text, param="frozen_time")
    details = {"advancing": {"target_frozen_time": target}}
    return work.update(clock, {"status": "advancing", "status_details": details}, f"{KIND}.advancing")


def _farthest(work: Work, clock: Json) -> int:
    now = int(clock["frozen_time"])
    limits = [now + _FARTHEST]
    for subscription in work.select("subscription"):
        if subscription["test_clock"] == clock["id"] and subscription["status"] not in ENDED:
            limits += [boundary(now, item["price"]["recurring"], _INTERVALS) for item in items_of(subscription)]
    return min(limits)


@routes.delete("/v1/test_helpers/test_clocks/{test_clock}", TestClockDeleteParams)
def delete(work: Work, params: Json, test_clock: str) -> Json:
    """Delete the clock and its customers, and cancel their subscriptions."""
    clock = work.get(KIND, test_clock, param="test_clock")
    for customer in list(work.select("customer")):
        if customer["test_clock"] == test_clock:
            customers.delete(work, {}, customer["id"])
    return work.remove(clock)
