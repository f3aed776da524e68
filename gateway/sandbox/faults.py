"""Faults that a test can request, such as lost answers, rate limits and reordered webhooks.

This file decides only which fault applies. The engine asks before and after a request's work, and the outbox asks for
each event. ``control`` takes the requests for faults. The README beside this file says what each kind does.
"""

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from gateway.sandbox import events
from gateway.sandbox.errors import StripeError, invalid, server_error
from gateway.sandbox.json_types import Json

_REQUEST = ("method", "path")
_EVENT = ("event",)
KINDS = {
    "rate_limit": _REQUEST,
    "lock_timeout": _REQUEST,
    "delay": (*_REQUEST, "seconds"),
    "error_before": _REQUEST,
    "error_after": _REQUEST,
    "response_lost": _REQUEST,
    "webhook_dropped": _EVENT,
    "webhook_duplicated": _EVENT,
    "webhook_duplicated_under_new_id": _EVENT,
    "webhook_delayed": (*_EVENT, "seconds"),
    "webhook_reordered": (*_EVENT, "count"),
    "webhook_burst": (*_EVENT, "count"),
}
"""Each kind with its fields besides ``kind``, ``times`` and ``skip``."""

LIMITS = ("rate_limit", "lock_timeout")
AFTERWARDS = ("error_after", "response_lost")
WEBHOOKS = tuple(kind for kind in KINDS if kind.startswith("webhook_"))

_DEFAULTS = {"method": "*", "path": "*", "event": "*", "times": 1, "skip": 0, "count": 2}


def _whole(least: int) -> Callable[[object], bool]:
    return lambda value: type(value) is int and value >= least


def _is_duration(value: object) -> bool:
    return type(value) in (int, float) and 0 < value < math.inf  # type: ignore[operator]  # mypy does not narrow on type()


def _is_path(value: object) -> bool:
    return isinstance(value, str) and value.startswith(("/", "*"))


def _is_event_pattern(value: object) -> bool:
    return isinstance(value, str) and any(fnmatchcase(known, value) for known in events.TYPES)


_FIELDS: dict[str, tuple[Callable[[object], bool], str]] = {
    "method": (lambda value: value in ("GET", "POST", "DELETE", "*"), "GET, POST, DELETE or *"),
    "path": (_is_path, "a path such as /v1/subscriptions/*, in which * matches anything"),
    "event": (_is_event_pattern, "one of Stripe's event types or a pattern such as invoice.*"),
    "times": (_whole(1), "a whole number of at least 1"),
    "skip": (_whole(0), "a whole number of at least 0"),
    "count": (_whole(2), "a whole number of at least 2"),
    "seconds": (_is_duration, "a number above 0"),
}


@dataclass
class Fault:
    """One requested fault and its progress. ``fields`` are those of its kind, with defaults filled in."""

    kind: str
    fields: Json
    passed: int = 0
    fired: int = 0
    held: int = 0

    def shown(self) -> Json:
        """Return the fault as the control interface lists it. ``held`` counts the events that wait for their group."""
        state = {"fired": self.fired, "left": self.fields["times"] - self.fired}
        held = {"held": self.held} if "count" in self.fields else {}
        return {"kind": self.kind} | self.fields | state | held

    def matches(self, kinds: tuple[str, ...], subject: Json) -> bool:
        """Return whether the fault is of ``kinds``, is not used up and matches every field of ``subject``."""
        return (
            self.kind in kinds
            and self.fired < self.fields["times"]
            and all(fnmatchcase(value, self.fields[name]) for name, value in subject.items())
        )


def read(given: object) -> Fault:
    """Return the fault that the JSON requests. Raise StripeError (400) if the JSON is wrong."""
    if not isinstance(given, dict):
        raise invalid("A fault must be a JSON object.")
    kind = given.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise invalid(f"Unknown kind of fault: {kind!r}. The kinds are {', '.join(KINDS)}.", param="kind")
    names = (*KINDS[kind], "times", "skip")
    for name in given.keys() - {"kind", *names}:
        raise invalid(f"The fault {kind} has no field {name}. Its fields are {', '.join(names)}.", param=name)
    fields = {name: given.get(name, _DEFAULTS.get(name)) for name in names}
    for name, value in fields.items():
        fits, wanted = _FIELDS[name]
        if not fits(value):
            raise invalid(f"{name} must be {wanted}.", param=name)
    return Fault(kind, fields)


@dataclass
class Faults:
    """All requested faults, in the order of their requests. Safe to use from several threads."""

    _faults: list[Fault] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _cleared: threading.Event = field(default_factory=threading.Event)

    def add(self, fault: Fault) -> None:
        """Put a fault into effect."""
        with self._lock:
            self._faults.append(fault)

    def shown(self) -> list[Json]:
        """Return all faults since the last ``clear()``, including those used up."""
        with self._lock:
            return [fault.shown() for fault in self._faults]

    def clear(self) -> None:
        """Remove all faults. Delayed requests resume immediately."""
        with self._lock:
            self._faults.clear()
            self._cleared.set()
            self._cleared = threading.Event()

    def take(self, kinds: tuple[str, ...], **subject: str) -> Fault | None:
        """Return the first fault of these kinds that applies to ``method=…, path=…`` or ``event=…``, or None.

        The fault counts as fired. A fault that holds back ``count`` events fires with the last of them.
        """
        with self._lock:
            for fault in self._faults:
                if not fault.matches(kinds, subject):
                    continue
                fault.passed += 1
                if fault.passed <= fault.fields["skip"]:
                    continue
                fault.held = (fault.held + 1) % fault.fields.get("count", 1)
                fault.fired += fault.held == 0
                return fault
        return None

    def limit(self, method: str, path: str) -> StripeError | None:
        """Return the 429 to answer instead of serving the request, or None (https://docs.stripe.com/rate-limits)."""
        fault = self.take(LIMITS, method=method, path=path)
        if fault is None:
            return None
        return _lock_timeout() if fault.kind == "lock_timeout" else _rate_limit()

    def before(self, method: str, path: str) -> StripeError | None:
        """Wait if a fault delays this request. Return the error to answer instead of doing the work, or None."""
        delay = self.take(("delay",), method=method, path=path)
        if delay:
            self._cleared.wait(delay.fields["seconds"])
        return server_error() if self.take(("error_before",), method=method, path=path) else None

    def after(self, method: str, path: str) -> Fault | None:
        """Return the fault that hits the answer after the work is done, or None."""
        return self.take(AFTERWARDS, method=method, path=path)


def _rate_limit() -> StripeError:
    text = "Request rate limit exceeded. Learn more about rate limits here https://stripe.com/docs/rate-limits."
    error = invalid(text, code="rate_limit", status=429)
    error.headers["Stripe-Rate-Limited-Reason"] = "endpoint-rate"
    return error


def _lock_timeout() -> StripeError:
    text = (
        "This object cannot be accessed right now because another API request or Stripe process is currently accessing "
        "it. If you see this error intermittently, retry the request. If you see this error frequently and are making "
        "multiple concurrent requests to a single object, make your requests serially or at a lower rate."
    )
    return invalid(text, code="lock_timeout", status=429)
