"""Limit requests by organization, by user and by address, with the numbers of ``rate_limits.table``.

``limited`` declares what a request of a view costs. A view without a class has no limit, such as ``/webhooks``, because
Stripe redelivers every event that is refused.
"""

import logging
import math
import time
from collections.abc import Callable, Iterable
from functools import lru_cache, partial
from ipaddress import ip_address, ip_network
from threading import Timer
from typing import Any, NamedTuple, TypeVar

import structlog
from flask import Flask, Response, current_app, g, request
from flask_limiter import Limit, Limiter, RateLimitExceeded
from limits import RateLimitItem
from limits.storage import MemoryStorage
from limits.util import WindowStats

from gateway.endpoints.request_context import principal
from gateway.errors import RateLimited
from gateway.metrics import LIMITED
from gateway.problems import render_gateway_error
from gateway.services.rate_limits.counts import digest
from gateway.services.rate_limits.postgres_storage import SCHEME, PostgresStorage
from gateway.services.rate_limits.table import LIMITS, PER_PROCESS, Dimension, RouteClass, choose_class, multiply
from gateway.services.runtime import Gateway

View = TypeVar("View", bound=Callable[..., Any])
FORGET_EVERY = 60.0  # seconds
ATTRIBUTE = "rate_class"  # of a view. The decorators above ``limited`` copy it, as functools.wraps does.

log = structlog.get_logger()


def limited(route_class: RouteClass) -> Callable[[View], View]:
    """Declare the class of a view, which decides its limits."""

    def decorate(view: View) -> View:
        setattr(view, ATTRIBUTE, route_class)
        return view

    return decorate


@lru_cache(maxsize=10_000)
def find_address(remote: str | None) -> str | None:
    """Return the address that sends a request, or the network of an IPv6 address, which one person holds alone.

    Return None for an address that is not public. It belongs to a proxy or to a server of ours, which many people use.
    """
    try:
        address = ip_address(remote or "")
    except ValueError:
        return None
    if address.version == 6:  # noqa: PLR2004 - the protocol's name
        address = address.ipv4_mapped or address
    if not address.is_global:
        return None
    return str(address) if address.version == 4 else str(ip_network(f"{address}/64", strict=False))  # noqa: PLR2004 - as above


class PatientStorage(MemoryStorage):
    """The library's storage in memory, which forgets old counts once a minute.

    The library itself starts a thread a hundred times a second, which reads all counts. That takes longer than most
    reads. A count is right without it, because each look at a count checks its time.
    """

    @property
    def timer(self) -> Timer:
        """The timer that looks for old counts next. The library sets a timer before it starts it."""
        return self._timer

    @timer.setter
    def timer(self, timer: Timer) -> None:
        timer.interval, timer.daemon = FORGET_EVERY, True
        self._timer = timer


class SharedLimiter(Limiter):
    """Flask-Limiter for the classes of routes that all machines count together. It skips all other requests."""

    def __init__(self, **options: Any) -> None:
        # Each limit has a function of its own instead of the first argument.
        super().__init__(lambda: "", **options)

    def _check_request_limit(self, callable_name: str | None = None, in_middleware: bool = True) -> None:
        if g.rate_class is not None and g.rate_class not in PER_PROCESS:
            super()._check_request_limit(callable_name, in_middleware)


class Counted(NamedTuple):
    """A limit that a request was counted against."""

    limit: RateLimitItem
    scope: str
    window: WindowStats
    breached: bool

    @property
    def seconds(self) -> int:
        """Return the whole seconds until the window ends, and at least 1."""
        return max(1, math.ceil(self.window.reset_time - time.time()))

    @property
    def name(self) -> str:
        """Return the limit's name in the headers."""
        return f'"{self.scope}-{self.limit.GRANULARITY.name}"'

    def describe_policy(self) -> str:
        """Return an item of ``RateLimit-Policy``: the quota, and the window in seconds."""
        return f"{self.name};q={self.limit.amount};w={self.limit.get_expiry()}"

    def describe_window(self) -> str:
        """Return an item of ``RateLimit``: what remains, and the seconds until the window ends."""
        return f"{self.name};r={self.window.remaining};t={self.seconds}"


class RateLimits:
    """The limits of one application.

    Classes in ``PER_PROCESS`` count in this process's memory. Flask-Limiter counts the others in PostgreSQL.
    """

    def __init__(self, app: Flask, gateway: Gateway) -> None:
        factor = gateway.config.rate_limit_factor
        self._items = {
            (route_class, dimension): multiply(limits.of(dimension), factor)
            for route_class, limits in LIMITS.items()
            for dimension in Dimension
        }
        self._memory = PatientStorage()
        app.before_request(self._begin)
        self._shared = self._add_limiter(app, gateway)
        app.after_request(self._add_headers)
        app.teardown_request(self._end)
        app.register_error_handler(RateLimitExceeded, self._refuse)

    def _add_limiter(self, app: Flask, gateway: Gateway) -> Limiter:
        """Return a Flask-Limiter whose limits depend on what ``_begin`` finds."""
        limits = [
            Limit(
                partial(self._choose_limits, dimension),
                partial(find_caller, dimension),
                partial(name_scope, dimension),
                shared=True,
            )
            for dimension in Dimension
        ]
        limiter = SharedLimiter(
            default_limits=[*limits],
            storage_uri=f"{SCHEME}://",
            storage_options={"database": gateway.database},
            headers_enabled=False,  # it would send older headers
            fail_on_first_breach=False,  # Retry-After must be the longest wait
        )
        limiter.logger.setLevel(logging.WARNING)  # `build_refusal` logs each refusal already
        limiter.init_app(app)
        return limiter

    def _begin(self) -> None:
        """Find who sends the request and what it costs, and count it.

        Raise Unauthorized, RateLimited if the request exceeds a limit of this process, and DatabaseUnavailable.
        """
        declared = getattr(current_app.view_functions.get(request.endpoint or ""), ATTRIBUTE, None)
        g.rate_class = None
        if declared is None or request.method == "OPTIONS":
            return
        who = principal()
        g.rate_class = choose_class(declared, who.scopes)
        callers = {
            Dimension.ORGANIZATION: who.organization_id,
            Dimension.USER: who.subject,
            Dimension.ADDRESS: find_address(request.remote_addr),
        }
        g.limited = {
            dimension: digest(caller)
            for dimension, caller in callers.items()
            if caller is not None and self._items[g.rate_class, dimension]
        }
        if g.rate_class in PER_PROCESS:
            self._count_here()
        elif isinstance(self._shared.storage, PostgresStorage):
            self._shared.storage.begin_request(
                (item.key_for(find_caller(dimension), name_scope(dimension)), item.get_expiry())
                for dimension in g.limited
                for item in self._items[g.rate_class, dimension]
            )

    def _count_here(self) -> None:
        """Count the request in memory. Raise RateLimited."""
        g.counted = counted = []
        for dimension, caller in g.limited.items():
            scope = name_scope(dimension)
            for item in self._items[g.rate_class, dimension]:
                key = item.key_for(caller, scope)
                count = self._memory.incr(key, item.get_expiry())
                window = WindowStats(self._memory.get_expiry(key), max(0, item.amount - count))
                counted.append(Counted(item, scope, window, count > item.amount))
        if any(each.breached for each in counted):
            raise build_refusal(counted)

    def _choose_limits(self, dimension: Dimension) -> str:
        """Return Flask-Limiter's notation of the limits on the request. It is empty if there are none."""
        return ";".join(map(str, self._items[g.rate_class, dimension])) if dimension in g.limited else ""

    def _refuse(self, _error: RateLimitExceeded) -> Response:
        """Render the refusal of a request that Flask-Limiter has counted."""
        return render_gateway_error(build_refusal(self._list_shared()))

    def _list_shared(self) -> list[Counted]:
        """Return the limits that Flask-Limiter has counted the request against."""
        return [
            Counted(each.limit, each.request_args[1], each.window, each.breached)
            for each in self._shared.current_limits
        ]

    def _add_headers(self, response: Response) -> Response:
        """Add the headers of draft-ietf-httpapi-ratelimit-headers to an answer of a limited view."""
        if g.get("rate_class") is not None and (limits := g.get("counted") or self._list_shared()):
            response.headers.add("RateLimit-Policy", ", ".join(map(Counted.describe_policy, limits)))
            response.headers.add("RateLimit", ", ".join(map(Counted.describe_window, limits)))
        return response

    def _end(self, _error: BaseException | None) -> None:
        if isinstance(self._shared.storage, PostgresStorage):
            self._shared.storage.end_request()


def build_refusal(counted: Iterable[Counted]) -> RateLimited:
    """Return the error of a request that exceeds some of the limits that it was counted against."""
    breached = [each for each in counted if each.breached]
    for each in breached:
        LIMITED.labels(each.scope).inc()
    log.info("request_limited", limits=[each.scope for each in breached])
    wait = max(each.seconds for each in breached)
    detail = f"There were too many requests of this kind. Please try again in {wait} seconds."
    return RateLimited(detail, headers={"Retry-After": str(wait)})


def find_caller(dimension: Dimension) -> str:
    """Return the digest under which the request's caller is counted."""
    caller: str = g.limited[dimension]
    return caller


def name_scope(dimension: Dimension, _endpoint: str = "") -> str:
    """Return the name of the limits by ``dimension`` on the class of the request, which all its routes share."""
    return f"{g.rate_class}-{dimension}"
