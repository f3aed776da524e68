"""Every error as one RFC 9457 problem: ``application/problem+json`` with a stable ``code``, never a traceback."""

import json
from http import HTTPStatus

import structlog
from flask import Flask, Response
from werkzeug.exceptions import HTTPException

from gateway.errors import GatewayError, InvalidRequest, NotFound
from schemas.subscription import QuoteSchema

# status -> code, title, and the detail where werkzeug's own speaks of browsers
KNOWN: dict[int, tuple[str, str, str | None]] = {
    400: ("invalid_json", "Not JSON", "The body is not valid JSON."),
    404: (NotFound.code, NotFound.title, "There is nothing here."),
    405: ("method_not_allowed", "Method not allowed", None),
    413: ("payload_too_large", "Too large", None),
    415: ("unsupported_media_type", "Unsupported media type", None),
    422: (InvalidRequest.code, InvalidRequest.title, "Some fields are not valid."),
}

CONTENT_TYPE = "application/problem+json"
# A service attaches its own objects to an error. These schemas turn such a member into JSON.
MEMBER_SCHEMAS = {"quote": QuoteSchema()}

log = structlog.get_logger()


def register(app: Flask) -> None:
    """Render every error of ``app`` as a problem."""
    app.register_error_handler(GatewayError, of_gateway_error)
    app.register_error_handler(HTTPException, of_http_exception)
    app.register_error_handler(Exception, of_surprise)


def of_gateway_error(error: GatewayError) -> Response:
    """An error of ours says itself what it is."""
    if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log.warning("request_failed", code=error.code, detail=error.detail, exc_info=error)
    return problem(error.status, error.code, error.title, error.detail, dump_members(error.members), error.headers)


def dump_members(members: dict[str, object]) -> dict[str, object]:
    """Return the members as JSON values."""
    return {
        name: MEMBER_SCHEMAS[name].dump(value) if name in MEMBER_SCHEMAS else value for name, value in members.items()
    }


def of_http_exception(error: HTTPException) -> Response:
    """Flask's and webargs' errors; the latter bring the fields that are wrong."""
    status = error.code or 500
    data = getattr(error, "data", None) or {}
    messages = data.get("messages", {})
    has_fields = status == HTTPStatus.UNPROCESSABLE_ENTITY and messages
    # webargs says where the fields were (in the body, in the query); a view of ours reads one of the two
    members = {"errors": next(iter(messages.values()))} if has_fields else {}
    code, title, detail = KNOWN.get(status, ("http_error", error.name, None))
    headers = {name: value for name, value in error.get_headers() if name in {"Allow", "Retry-After"}}
    return problem(status, code, title, detail or error.description, members, headers)


def of_surprise(error: Exception) -> Response:
    """What nobody foresaw: logged in full, told in one sentence."""
    log.error("request_crashed", exc_info=error)
    detail = "Something went wrong on our side; it has been logged."
    return problem(500, GatewayError.code, GatewayError.title, detail, {}, {})


def problem(
    status: int, code: str, title: str, detail: str | None, members: dict[str, object], headers: dict[str, str]
) -> Response:
    """The response."""
    body = {"type": "about:blank", "title": title, "status": status, "code": code, "detail": detail, **members}
    return Response(json.dumps(body), status, headers, content_type=CONTENT_TYPE)
