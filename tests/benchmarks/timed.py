"""The gateway with two headers on each answer: its own time without Stripe, and the number of calls to Stripe.

Stripe's time is the wait for its responses on the socket. The rest is our own time, including the work of the SDK and
of its HTTP client, and the budget of calls.
"""

import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from flask import Flask

from gateway.app import create_app
from gateway.stripe_api import prompt_http

OWN, CALLS = "Own-Milliseconds", "Stripe-Calls"
Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

spent = threading.local()


class TimedReader(prompt_http.PromptReader):
    """Reads one response of Stripe, and adds up the time in which this thread waits for it."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        spent.calls += 1

    def readinto(self, buffer: Any) -> int | None:
        began = time.perf_counter()
        try:
            return super().readinto(buffer)
        finally:
            spent.seconds += time.perf_counter() - began


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
    prompt_http.PromptReader = TimedReader  # type: ignore[assignment, misc]  # each response makes one
    app = create_app()
    app.wsgi_app = timed(app.wsgi_app)  # type: ignore[assignment, method-assign]  # Flask's documented way to wrap it
    return app
