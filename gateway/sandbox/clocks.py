"""The choice of the clock for a request.

Objects on a test clock live in its time. All others live in the sandbox's own time.
https://docs.stripe.com/billing/testing/test-clocks
"""

from collections.abc import Iterable

from gateway.sandbox.errors import StripeError
from gateway.sandbox.json_types import Json
from gateway.sandbox.store import Store

KIND = "test_helpers.test_clock"
_NAMING = ("test_clock", "customer", "subscription", "invoice")
"""Parameters that can name an object on a test clock. Ids in a path can do so too."""


def clock_of(store: Store, names: Iterable[str], given: Json) -> Json | None:
    """Return the test clock of the objects that a request names, or None if they are on none."""
    named = [*names, *(given[key] for key in _NAMING if isinstance(given.get(key), str))]
    named += (given.get("payload") or {}).values()  # a meter event names its customer in its payload
    for object_id in named:
        found = _clock_id(store, object_id)
        if found:
            return store.find(KIND, found)
    return None


def _clock_id(store: Store, object_id: str) -> str | None:
    owner = store.recall("item_owner", object_id)
    obj = store.named(owner["subscription"] if owner else object_id)
    if obj is None:
        return None
    if obj["object"] == KIND:
        return object_id
    if obj.get("test_clock"):
        return str(obj["test_clock"])
    customer = store.find("customer", obj.get("customer") or "")
    return customer["test_clock"] if customer else None


def refuse_if_advancing(clock: Json) -> None:
    """Raise 429 if the clock is advancing. The message was written from memory and not recorded from Stripe."""
    if clock["status"] == "advancing":
        text = "Test clock advancement underway - cannot perform modifications until it's complete."
        raise StripeError(429, "invalid_request_error", text, code="rate_limit")
