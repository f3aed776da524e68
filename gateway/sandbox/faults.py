"""Faults on request: what may go wrong between Stripe and its client, how often, and for which requests or events.

Rules only: the engine asks before and after a request's work, the outbox for each event (see ``control`` for the way
in, and the README beside this file for what each kind does).
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
"""Each kind, and the fields it has besides ``kind``, ``times`` and ``skip``."""

LIMITS = ("rate_limit", "lock_timeout")
AFTERWARDS = ("error_after", "response_lost")
WEBHOOKS = tuple(kind for kind in KINDS if kind.startswith("webhook_"))

_DEFAULTS = {"method": "*", "path": "*", "event": "*", "times": 1, "skip": 0, "count": 2}


def _whole(least: int) -> Callable[[object], bool]:
    return lambda value: type(value) is int and value >= least


def _is_duration(value: object) -> bool:
    return type(value) in (int, float) and 0 < value < math.inf  # type: ignore[operator]  # type() narrows no tuple


def _is_path(value: object) -> bool:
    return isinstance(value, str) and value.startswith(("/", "*"))


def _is_event_pattern(value: object) -> bool:
    return isinstance(value, str) and any(fnmatchcase(known, value) for known in events.TYPES)


_FIELDS: dict[str, tuple[Callable[[object], bool], str]] = {
    "method": (lambda value: value in ("GET", "POST", "DELETE", "*"), "GET, POST, DELETE or *"),
    "path": (_is_path, "a path, in which * stands for anything, such as /v1/subscriptions/*"),
    "event": (_is_event_pattern, "a type of event that Stripe has, or a pattern such as invoice.*"),
    "times": (_whole(1), "a whole number from 1"),
    "skip": (_whole(0), "a whole number from 0"),
    "count": (_whole(2), "a whole number from 2"),
    "seconds": (_is_duration, "a number above 0"),
}


@dataclass
class Fault:
    """One fault asked for, and how far it got. ``fields`` are those of its kind, with defaults filled in."""

    kind: str
    fields: Json
    passed: int = 0
    fired: int = 0
    held: int = 0

    def shown(self) -> Json:
        """As the control interface lists it; ``held`` is how many events wait for the rest of their group."""
        state = {"fired": self.fired, "left": self.fields["times"] - self.fired}
        held = {"held": self.held} if "count" in self.fields else {}
        return {"kind": self.kind} | self.fields | state | held

    def meets(self, kinds: tuple[str, ...], subject: Json) -> bool:
        """Whether it is one of ``kinds``, not used up, and each field of ``subject`` matches its pattern."""
        return (
            self.kind in kinds
            and self.fired < self.fields["times"]
            and all(fnmatchcase(value, self.fields[name]) for name, value in subject.items())
        )


def read(given: object) -> Fault:
    """A fault from the JSON that asks for it; StripeError (400) says what is wrong with it."""
    if not isinstance(given, dict):
        raise invalid("A fault is a JSON object.")
    kind = given.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise invalid(f"Unknown kind of fault: {kind!r}. There are {', '.join(KINDS)}.", param="kind")
    names = (*KINDS[kind], "times", "skip")
    for name in given.keys() - {"kind", *names}:
        raise invalid(f"A fault {kind} has no field {name}. It has {', '.join(names)}.", param=name)
    fields = {name: given.get(name, _DEFAULTS.get(name)) for name in names}
    for name, value in fields.items():
        fits, wanted = _FIELDS[name]
        if not fits(value):
            raise invalid(f"{name} must be {wanted}.", param=name)
    return Fault(kind, fields)


@dataclass
class Faults:
    """All that were asked for, in that order. Safe to use from several threads."""

    _faults: list[Fault] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _cleared: threading.Event = field(default_factory=threading.Event)

    def add(self, fault: Fault) -> None:
        """Let it happen from now on."""
        with self._lock:
            self._faults.append(fault)

    def shown(self) -> list[Json]:
        """All, the used up as well, until ``clear()``."""
        with self._lock:
            return [fault.shown() for fault in self._faults]

    def clear(self) -> None:
        """Forget all; requests that are being delayed go on at once."""
        with self._lock:
            self._faults.clear()
            self._cleared.set()
            self._cleared = threading.Event()

    def take(self, kinds: tuple[str, ...], **subject: str) -> Fault | None:
        """The first fault of these kinds that is due for ``method=…, path=…`` or ``event=…``; it counts as fired.

        One that holds events back until it has ``count`` of them fires with the last.
        """
        with self._lock:
            for fault in self._faults:
                if not fault.meets(kinds, subject):
                    continue
                fault.passed += 1
                if fault.passed <= fault.fields["skip"]:
                    continue
                fault.held = (fault.held + 1) % fault.fields.get("count", 1)
                fault.fired += fault.held == 0
                return fault
        return None

    def limit(self, method: str, path: str) -> StripeError | None:
        """The 429 that this request gets instead of being served (https://docs.stripe.com/rate-limits)."""
        fault = self.take(LIMITS, method=method, path=path)
        if fault is None:
            return None
        return _lock_timeout() if fault.kind == "lock_timeout" else _rate_limit()

    def before(self, method: str, path: str) -> StripeError | None:
        """Wait, if this request is to be delayed; the error that it gets instead of its work."""
        delay = self.take(("delay",), method=method, path=path)
        if delay:
            self._cleared.wait(delay.fields["seconds"])
        return server_error() if self.take(("error_before",), method=method, path=path) else None

    def after(self, method: str, path: str) -> Fault | None:
        """What becomes of the answer, now that the work is done."""
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
