"""The wires between the gateway, Stripe and the receivers, in one thread. Calls fail as in a network."""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any
from urllib.parse import urlsplit

import requests
from flask import Flask

from gateway.sandbox.engine import Engine
from gateway.sandbox.faults import read
from tests.simulation.one_clock import Died, OneClock

STRIPE = "http://stripe.test"
FAULTS = ("rate_limit", "lock_timeout", "error_before", "error_after", "response_lost", "unreachable", "timeout")
SLOWEST = 20
"""Seconds after which the gateway gives up a call that hangs."""


@dataclass
class Answer:
    """What the SDK and the deliveries read of an answer."""

    status_code: int
    headers: Mapping[str, str]
    content: bytes


@dataclass
class Plug:
    """Stands in for the socket of a request, which the sandbox closes to lose its answer."""

    is_closed: bool = False

    def shutdown(self, _how: int) -> None:
        self.is_closed = True


def call_wsgi(
    app: Callable[..., Any], method: str, path: str, query: str, headers: Mapping[str, str], body: bytes
) -> tuple[Answer, Plug]:
    """Hand a request to a WSGI application and return its answer."""
    plug, begun = Plug(), []
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method.upper(),
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "SERVER_NAME": "simulation",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "werkzeug.socket": plug,
    }
    for name, value in headers.items():
        key = name.upper().replace("-", "_")
        environ[key if key == "CONTENT_TYPE" else f"HTTP_{key}"] = value
    parts = app(environ, lambda status, given, _error=None: begun.append((status, given)))
    content = b"".join(parts)
    if hasattr(parts, "close"):
        parts.close()
    [(status, given)] = begun
    return Answer(int(status.split()[0]), dict(given), content), plug


@dataclass
class StripeWire:
    """The session of an SDK, which hands each request to the sandbox.

    ``trouble`` is the probability that a call fails, and ``deaths`` that the calling process dies before or after it.
    """

    app: Flask
    engine: Engine
    clock: OneClock
    random: Random
    trouble: float = 0
    deaths: float = 0
    calls: int = 0
    failed: dict[str, int] = field(default_factory=dict)

    def request(self, method: str, url: str, headers: Mapping[str, str], data: Any = None, **_options: Any) -> Answer:
        """Make one attempt of a call. Raise requests' errors if it fails on the way."""
        self.calls += 1
        fault = self.random.choice(FAULTS) if self.random.random() < self.trouble else None
        dies = self.random.choice(("before", "after")) if self.random.random() < self.deaths else None
        if fault is not None:
            self.failed[fault] = self.failed.get(fault, 0) + 1
        if dies == "before":
            raise Died("call to Stripe")
        if fault == "unreachable":
            raise requests.ConnectionError("unreachable")
        if fault not in (None, "timeout"):
            self.engine.faults.add(read({"kind": fault}))
        answer, plug = self._hand_over(method, url, headers, data)
        if fault is not None:
            self.engine.faults.clear()
        if dies == "after":
            raise Died("call to Stripe")
        if fault == "timeout":
            self.clock.sleep(SLOWEST)
            raise requests.ReadTimeout("no answer in time")
        if plug.is_closed:
            raise requests.ConnectionError("the answer was lost")
        return answer

    def _hand_over(self, method: str, url: str, headers: Mapping[str, str], data: Any) -> tuple[Answer, Plug]:
        parts = urlsplit(url)
        body = data.encode() if isinstance(data, str) else data or b""
        return call_wsgi(self.app, method, parts.path, parts.query, headers, body)

    def close(self) -> None:
        """Close nothing. The SDK calls it."""
