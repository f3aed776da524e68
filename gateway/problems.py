"""Render every error as an RFC 9457 problem with a stable ``code`` and never a traceback."""

import json
from collections.abc import Callable
from http import HTTPStatus

import structlog
from flask import Flask, Response
from gunicorn.http.errors import ParseException
from werkzeug.exceptions import ClientDisconnected, HTTPException

from gateway.errors import GatewayError, InvalidRequest, NotFound
from schemas.subscription import QuoteSchema

# status -> code, title, and a detail where werkzeug's own speaks of browsers
KNOWN: dict[int, tuple[str, str, str | None]] = {
    400: ("invalid_json", "Not JSON", "The body is not valid JSON."),
    404: (NotFound.code, NotFound.title, "There is nothing here."),
    405: ("method_not_allowed", "Method not allowed", None),
    408: ("request_timeout", "Too slow", "The request did not arrive in time."),
    413: ("payload_too_large", "Too large", "The body is too large."),
    414: ("uri_too_long", "Request line too long", "The request line is too long."),
    415: ("unsupported_media_type", "Unsupported media type", None),
    417: ("expectation_failed", "Expectation failed", "Only 100-continue can be expected."),
    422: (InvalidRequest.code, InvalidRequest.title, "Some fields are not valid."),
    431: ("headers_too_large", "Headers too large", "The headers are too large or too many."),
    501: ("transfer_coding_unsupported", "Transfer coding not supported", "Send the body plain or chunked."),
}
MALFORMED = ("malformed_request", "Malformed request", "The request is not valid HTTP, or its body is not complete.")

UNEXPECTED = "Something went wrong on our side. The error has been logged."

TITLES = {code: title for code, title, _ in (*KNOWN.values(), MALFORMED)} | {"http_error": "HTTP error"}
"""The titles of the problems that are not errors of ours, by code."""
CONTENT_TYPE = "application/problem+json"
# A service attaches its own objects to an error. These schemas turn such a member into JSON.
MEMBER_SCHEMAS = {"quote": QuoteSchema()}
HEADERS = "ANSWER_HEADERS"
"""The key of Flask's configuration that holds the headers of every answer. gunicorn's own answers carry them too."""

log = structlog.get_logger()


def register(app: Flask) -> None:
    """Render every error of ``app`` as a problem."""
    for kind, handler in RENDERERS.items():
        app.register_error_handler(kind, handler)


def render(error: Exception) -> Response:
    """Render an error as ``app`` would."""
    return next(RENDERERS[kind] for kind in type(error).__mro__ if kind in RENDERERS)(error)


def render_gateway_error(error: GatewayError) -> Response:
    """Render one of our own errors. Log it if its status is 5xx."""
    if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log.warning("request_failed", code=error.code, detail=error.detail, exc_info=error)
    members = dump_members(error.members)
    return render_problem(error.status, error.code, error.title, error.detail, members, error.headers)


def dump_members(members: dict[str, object]) -> dict[str, object]:
    """Return the members as JSON values."""
    return {
        name: MEMBER_SCHEMAS[name].dump(value) if name in MEMBER_SCHEMAS else value for name, value in members.items()
    }


def render_http_error(error: HTTPException) -> Response:
    """Render an error of Flask or webargs. Those of webargs name the wrong fields."""
    status = error.code or 500
    data = getattr(error, "data", None) or {}
    messages = data.get("messages", {})
    has_fields = status == HTTPStatus.UNPROCESSABLE_ENTITY and messages
    # webargs groups the fields by their location, body or query. Each of our views reads only one of the two.
    members = {"errors": next(iter(messages.values()))} if has_fields else {}
    code, title, detail = KNOWN.get(status, ("http_error", error.name, None))
    headers = {name: value for name, value in error.get_headers() if name in {"Allow", "Retry-After"}}
    return render_problem(status, code, title, detail or error.description, members, headers)


def render_malformed_request(_: Exception) -> Response:
    """Render a body that cannot be read to its end, such as one with a malformed chunk."""
    return render_problem(400, *MALFORMED, {}, {})


def render_status(status: int) -> Response:
    """Render a request that gunicorn refuses before the application sees it."""
    if status == HTTPStatus.BAD_REQUEST:
        return render_problem(status, *MALFORMED, {}, {})
    code, title, detail = KNOWN.get(status, (GatewayError.code, GatewayError.title, UNEXPECTED))
    return render_problem(status, code, title, detail, {}, {})


def render_unexpected_error(error: Exception) -> Response:
    """Log an unexpected error in full, and tell the caller only that it happened."""
    log.error("request_crashed", exc_info=error)
    return render_problem(500, GatewayError.code, GatewayError.title, UNEXPECTED, {}, {})


def render_problem(
    status: int, code: str, title: str, detail: str | None, members: dict[str, object], headers: dict[str, str]
) -> Response:
    """Return the problem as a response."""
    body = {"type": "about:blank", "title": title, "status": status, "code": code, "detail": detail, **members}
    return Response(json.dumps(body), status, headers, content_type=CONTENT_TYPE)


RENDERERS: dict[type[Exception], Callable[..., Response]] = {
    GatewayError: render_gateway_error,
    HTTPException: render_http_error,
    ParseException: render_malformed_request,
    ClientDisconnected: render_malformed_request,
    Exception: render_unexpected_error,
}
"""The functions that render errors. The most derived class counts, as in Flask."""
