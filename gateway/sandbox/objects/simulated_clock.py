"""Builder of test clocks (https://docs.stripe.com/api/test_clocks/object)."""

from gateway.sandbox.json_types import Json
from gateway.sandbox.settings import DAY
from gateway.sandbox.work import Work

_KEPT_DAYS = 30


def build(work: Work, params: Json) -> Json:
    """Return a test clock frozen at ``frozen_time``."""
    return {
        "id": work.ids.new("clock"),
        "object": "test_helpers.test_clock",
        "created": work.now,
        "deletes_after": work.now + _KEPT_DAYS * DAY,
        "frozen_time": params["frozen_time"],
        "livemode": False,
        "name": params.get("name"),
        "status": "ready",
        "status_details": {},
    }
