"""Limit requests by organization, by user and by address. Flask-Limiter applies the numbers of ``rate_limits.table``.

``limited`` declares what a request of a view costs. A view without a class has no limit, such as ``/webhooks``, because
Stripe redelivers every event that is refused.
"""

import logging
import math
import time
from collections.abc import Callable, Collection
from functools import partial
from ipaddress import ip_address, ip_network
from typing import Any, TypeVar

import structlog
from flask import Flask, Response, current_app, g, request
from flask_limiter import Limit, Limiter, RateLimitExceeded, RequestLimit

from gateway.endpoints.request_context import principal
from gateway.errors import RateLimited
from gateway.metrics import LIMITED
from gateway.problems import render_gateway_error
from gateway.services.rate_limits.counts import digest
from gateway.services.rate_limits.postgres_storage import SCHEME, PostgresStorage
from gateway.services.rate_limits.table import LIMITS, PER_PROCESS, Dimension, RouteClass, choose_class, multiply
from gateway.services.runtime import Gateway

View = TypeVar("View", bound=Callable[..., Any])
ATTRIBUTE = "rate_class"  # of a view. The decorators above ``limited`` copy it, as functools.wraps does.

log = structlog.get_logger()


def limited(route_class: RouteClass) -> Callable[[View], View]:
    """Declare the class of a view, which decides its limits."""

    def decorate(view: View) -> View:
        setattr(view, ATTRIBUTE, route_class)
        return view

    return decorate


def find_address() -> str | None:
    """Return the address that sends the request, or the network of an IPv6 address, which one person holds alone.

    Return None for an address that is not public. It belongs to a proxy or to a server of ours, which many people use.
    """
    try:
        address = ip_address(request.remote_addr or "")
    except ValueError:
        return None
    if address.version == 6:  # noqa: PLR2004 - the protocol's name
        address = address.ipv4_mapped or address
    if not address.is_global:
        return None
    return str(address) if address.version == 4 else str(ip_network(f"{address}/64", strict=False))  # noqa: PLR2004 - as above


class ClassLimiter(Limiter):
    """Flask-Limiter for some classes of routes. It skips all other requests, so that webhooks do not pay for limits."""

    def __init__(self, classes: Collection[RouteClass], **options: Any) -> None:
        self._classes = classes
        # Each limit has a function of its own instead of the first argument.
        super().__init__(lambda: "", **options)

    def _check_request_limit(self, callable_name: str | None = None, in_middleware: bool = True) -> None:
        if g.rate_class in self._classes:
            super()._check_request_limit(callable_name, in_middleware)


class RateLimits:
    """The limits of one application. Classes in ``PER_PROCESS`` count in memory, and the others in PostgreSQL."""

    def __init__(self, app: Flask, gateway: Gateway) -> None:
        factor = gateway.config.rate_limit_factor
        self._items = {
            (route_class, dimension): multiply(limits.of(dimension), factor)
            for route_class, limits in LIMITS.items()
            for dimension in Dimension
        }
        app.before_request(self._begin)
        self._memory = self._add_limiter(app, PER_PROCESS, "memory://")
        self._shared = self._add_limiter(app, {*RouteClass} - PER_PROCESS, f"{SCHEME}://", database=gateway.database)
        app.after_request(self._add_headers)
        app.teardown_request(self._end)
        app.register_error_handler(RateLimitExceeded, self._refuse)

    def _add_limiter(self, app: Flask, classes: Collection[RouteClass], uri: str, **options: Any) -> Limiter:
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
        limiter = ClassLimiter(
            classes,
            default_limits=[*limits],
            storage_uri=uri,
            storage_options=options,
            headers_enabled=False,  # it would send older headers
            fail_on_first_breach=False,  # Retry-After must be the longest wait
        )
        limiter.logger.setLevel(logging.WARNING)  # `_refuse` logs each refusal already
        limiter.init_app(app)
        return limiter

    def _begin(self) -> None:
        """Find who sends the request and what it costs. Count it in PostgreSQL if its class is counted there.

        Raises Unauthorized, and DatabaseUnavailable.
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
            Dimension.ADDRESS: find_address(),
        }
        g.limited = {dimension: digest(caller) for dimension, caller in callers.items() if caller is not None}
        if g.rate_class not in PER_PROCESS and isinstance(self._shared.storage, PostgresStorage):
            self._shared.storage.begin_request(
                (item.key_for(find_caller(dimension), name_scope(dimension)), item.get_expiry())
                for dimension in g.limited
                for item in self._items[g.rate_class, dimension]
            )

    def _choose_limits(self, dimension: Dimension) -> str:
        """Return Flask-Limiter's notation of the limits on the request. It is empty if there are none."""
        return ";".join(map(str, self._items[g.rate_class, dimension])) if dimension in g.limited else ""

    def _list_limits(self) -> list[RequestLimit]:
        return [*self._memory.current_limits, *self._shared.current_limits]

    def _refuse(self, _error: RateLimitExceeded) -> Response:
        """Render the error of a request that exceeds a limit."""
        breached = [each for each in self._list_limits() if each.breached]
        for each in breached:
            LIMITED.labels(each.request_args[1]).inc()
        log.info("request_limited", limits=[each.request_args[1] for each in breached])
        wait = max(map(count_seconds, breached))
        detail = f"There were too many requests of this kind. Please try again in {wait} seconds."
        return render_gateway_error(RateLimited(detail, headers={"Retry-After": str(wait)}))

    def _add_headers(self, response: Response) -> Response:
        """Add the headers of draft-ietf-httpapi-ratelimit-headers to an answer of a limited view."""
        if g.get("rate_class") is not None and (limits := self._list_limits()):
            response.headers["RateLimit-Policy"] = ", ".join(map(describe_policy, limits))
            response.headers["RateLimit"] = ", ".join(map(describe_window, limits))
        return response

    def _end(self, _error: BaseException | None) -> None:
        if isinstance(self._shared.storage, PostgresStorage):
            self._shared.storage.end_request()


def find_caller(dimension: Dimension) -> str:
    """Return the digest under which the request's caller is counted."""
    caller: str = g.limited[dimension]
    return caller


def name_scope(dimension: Dimension, _endpoint: str = "") -> str:
    """Return the name of the limits by ``dimension`` on the class of the request, which all its routes share."""
    return f"{g.rate_class}-{dimension}"


def count_seconds(limit: RequestLimit) -> int:
    """Return the whole seconds until the limit's window ends, and at least 1."""
    return max(1, math.ceil(limit.window.reset_time - time.time()))


def name_limit(limit: RequestLimit) -> str:
    """Return a limit's name in the headers."""
    return f'"{limit.request_args[1]}-{limit.limit.GRANULARITY.name}"'


def describe_policy(limit: RequestLimit) -> str:
    """Return an item of ``RateLimit-Policy``: the quota, and the window in seconds."""
    return f"{name_limit(limit)};q={limit.limit.amount};w={limit.limit.get_expiry()}"


def describe_window(limit: RequestLimit) -> str:
    """Return an item of ``RateLimit``: what remains, and the seconds until the window ends."""
    return f"{name_limit(limit)};r={limit.window.remaining};t={count_seconds(limit)}"
