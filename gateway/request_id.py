"""The id of a request, by which an operator finds everything that was logged about it."""

import re
import uuid
from collections.abc import Mapping
from typing import Any

from structlog.contextvars import get_contextvars

HEADER = "X-Request-Id"
# The caller chooses the id, so it may have no characters that a log or a shell would interpret.
SAFE = re.compile(r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
TRACE = re.compile(r"\A(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(?:-|\Z)")


def choose_request_id(environ: Mapping[str, Any]) -> str:
    """Return the ``X-Request-Id`` of a WSGI request, or the trace id of its ``traceparent``, or a new id.

    https://www.w3.org/TR/trace-context/#traceparent-header
    """
    given = environ.get("HTTP_X_REQUEST_ID")
    if given is not None and SAFE.match(given):
        return str(given)
    trace = TRACE.match(environ.get("HTTP_TRACEPARENT", ""))
    return trace[1] if trace is not None else create_request_id()


def create_request_id() -> str:
    """Return a new id."""
    return uuid.uuid4().hex


def get_request_id() -> str:
    """Return the id of the request that this thread answers. A request without one gets a new id."""
    found: str | None = get_contextvars().get("request_id")
    return found or create_request_id()
