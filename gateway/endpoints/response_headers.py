"""The headers of every answer."""

from collections.abc import Iterable

from flask import Flask, Response
from flask_cors import CORS

from gateway import problems
from gateway.config import Config
from gateway.request_id import HEADER

A_YEAR = 31_536_000  # seconds
# The headers that a browser may send and read, besides those that the CORS protocol always allows.
SENT_HEADERS = ["Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match", HEADER, "traceparent"]
READ_HEADERS = ["ETag", "Idempotent-Replayed", "Location", "RateLimit", "RateLimit-Policy", "Retry-After", HEADER]


def register(app: Flask, config: Config) -> None:
    """Give every answer of ``app`` the headers, those to requests that gunicorn refuses included."""
    headers = answer_headers(config)
    app.config[problems.HEADERS] = headers
    if config.ui_origins:
        allow_origins(app, config.ui_origins)

    @app.after_request
    def add(response: Response) -> Response:
        # With `setdefault`, werkzeug would raise and catch an exception for each of them.
        present = {name.lower() for name, _ in response.headers}
        for name, value in headers.items():
            if name.lower() not in present:
                response.headers.add(name, value)
        return response


def allow_origins(app: Flask, origins: Iterable[str]) -> None:
    """Let the browsers of these origins call the interface. Its tokens are headers, so no cookie is allowed.

    https://fetch.spec.whatwg.org/#http-cors-protocol
    """
    CORS(
        app,
        resources=r"/v1/*",
        origins=list(origins),
        methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
        allow_headers=SENT_HEADERS,
        expose_headers=READ_HEADERS,
        max_age=600,
        send_wildcard=False,
        always_send=False,  # only a request with an Origin gets the headers
    )


def answer_headers(config: Config) -> dict[str, str]:
    """Return the headers.

    Nothing is stored by a browser or a proxy unless its view allows that, because most answers hold a card, a secret or
    a price. A proxy ends TLS, so only GATEWAY_PUBLIC_URL tells whether browsers reach the gateway by it.
    """
    headers = {
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
    if (config.public_url or "").startswith("https://"):
        headers["Strict-Transport-Security"] = f"max-age={A_YEAR}"
    return headers
