"""The gateway with two headers on each answer: its own time without Stripe, and the number of calls to Stripe.

Stripe's time is the time in the SDK's HTTP client, including the network. The rest is our own time, including the SDK's
work and the budget of calls.
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from flask import Flask
from stripe import StripeClient

from gateway.app import create_app, wired
from gateway.services.rate_limits.stripe_budget import Budget
from gateway.services.runtime import Gateway
from gateway.stripe_api.client import MAX_NETWORK_RETRIES, MeteredClient

OWN, CALLS = "Own-Milliseconds", "Stripe-Calls"
Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

spent = threading.local()


class Timed(MeteredClient):
    """Adds up the time of this thread's calls."""

    def _timed(
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any
    ) -> tuple[Any, int, Mapping[str, str]]:
        began = time.perf_counter()
        try:
            return super()._timed(method, url, headers, post_data)
        finally:
            spent.seconds += time.perf_counter() - began
            spent.calls += 1


def with_timed_client(gateway: Gateway) -> Gateway:
    """Return the gateway with a timed client."""
    url = gateway.config.stripe_api_base
    assert url is not None
    addresses: Any = dict.fromkeys(("api", "connect", "files", "meter_events"), url)
    client = StripeClient(
        gateway.config.stripe_secret_key,
        base_addresses=addresses,
        max_network_retries=MAX_NETWORK_RETRIES,
        http_client=Timed(Budget(gateway.database, gateway.config.stripe_calls_per_second), gateway.gate, url=url),
    )
    return replace(gateway, stripe=client)


def timed(application: Wsgi) -> Wsgi:
    """Return the application with both headers on its answers."""

    def run(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        began = time.perf_counter()
        spent.seconds, spent.calls = 0.0, 0

        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            own = time.perf_counter() - began - spent.seconds
            return start_response(status, [*headers, (OWN, f"{own * 1000:.3f}"), (CALLS, str(spent.calls))], *rest)

        return application(environ, start)

    return run


def application() -> Flask:
    """Return the application that gunicorn loads."""
    app = create_app(with_timed_client(wired()))
    app.wsgi_app = timed(app.wsgi_app)  # type: ignore[assignment, method-assign]  # Flask's documented way to wrap it
    return app
