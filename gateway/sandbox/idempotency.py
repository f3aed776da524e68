"""Idempotency keys as Stripe keeps them (https://docs.stripe.com/api/idempotent_requests).

Once a request's work has begun, its answer is kept for 24 hours. That includes card errors and failures.
Requests that fail the parameter checks never get here, so their key stays free. The v2 API keeps no failures, and
repeats the work instead (https://docs.stripe.com/api-v2-overview).
"""

import threading
from dataclasses import dataclass, field

from gateway.sandbox.errors import StripeError

LIFETIME = 24 * 3600
MAX_LENGTH = 255


@dataclass(frozen=True)
class Answer:
    """An answer as sent to the client."""

    status: int
    body: bytes
    request_id: str
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class _Kept:
    fingerprint: str
    since: float
    answer: Answer | None = None


class IdempotencyKeys:
    """Saved answers by key. Safe to use from several threads."""

    def __init__(self) -> None:
        self._kept: dict[str, _Kept] = {}
        self._lock = threading.Lock()

    def claim(self, key: str, shown: str, fingerprint: str, now: float) -> Answer | None:
        """Return the answer saved for this key, or reserve the key and return None.

        After None, the caller must save its answer with ``keep()``. Raise 400 if the earlier request had another
        ``fingerprint``, and 409 if it is still in flight. ``shown`` is the key without its owner, for messages.
        """
        with self._lock:
            self._prune(now)
            kept = self._kept.get(key)
            if kept is None:
                self._kept[key] = _Kept(fingerprint, now)
                return None
        if kept.fingerprint != fingerprint:
            raise _other_parameters(shown)
        if kept.answer is None:
            raise _in_use(shown)
        return kept.answer

    def keep(self, key: str, answer: Answer) -> None:
        """Save the answer of finished work, so that later requests replay it."""
        with self._lock:
            if kept := self._kept.get(key):  # the key may have expired during the work
                kept.answer = answer

    def release(self, key: str) -> None:
        """Free the key of failed work, so that the next request with it does the work."""
        with self._lock:
            self._kept.pop(key, None)

    def _prune(self, now: float) -> None:
        while self._kept:
            oldest = next(iter(self._kept))
            if self._kept[oldest].since + LIFETIME > now:
                return
            del self._kept[oldest]


def _other_parameters(key: str) -> StripeError:
    text = (
        "Keys for idempotent requests can only be used with the same parameters they were first used with. "
        f"Try using a key other than '{key}' if you meant to execute a different request."
    )
    return StripeError(400, "idempotency_error", text)


def _in_use(key: str) -> StripeError:
    text = (
        "There is currently another in-progress request using this Stripe API key and idempotency key (that "
        "probably means you "
        f"submitted twice, and the other request is still going through): {key}. Please try again later."
    )
    return StripeError(409, "idempotency_error", text, code="idempotency_key_in_use")
