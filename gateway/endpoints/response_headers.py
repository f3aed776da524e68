"""The headers of every answer."""

from flask import Flask, Response

from gateway import problems
from gateway.config import Config

A_YEAR = 31_536_000  # seconds


def register(app: Flask, config: Config) -> None:
    """Give every answer of ``app`` the headers, those to requests that gunicorn refuses included."""
    headers = answer_headers(config)
    app.config[problems.HEADERS] = headers

    @app.after_request
    def add(response: Response) -> Response:
        for name, value in headers.items():
            response.headers.setdefault(name, value)
        return response


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
