"""Check each request before its view runs.

The whole body is read here, so that no view runs with half of it.
"""

from flask import request
from werkzeug import Request
from werkzeug.exceptions import ClientDisconnected, NotFound, RequestEntityTooLarge

from gateway.config import WEBHOOK_MAX_BYTES
from gateway.endpoints import usage

MAX_BYTES = 64 * 1024


def refuse_leading_slashes() -> None:
    """Raise NotFound for a path that begins with two slashes. Werkzeug would take it for one with a single slash.

    A proxy that blocks or limits some paths would compare another path than the one that is served.
    """
    if request.environ["PATH_INFO"].startswith("//"):
        raise NotFound


def read_body() -> None:
    """Read the body. Raise as ``read_whole_body`` does.

    This runs for every path and before the token is verified. A malformed chunk would otherwise only be noticed after
    the answer.
    """
    # Usage comes in batches, which may be as long as a webhook.
    read_whole_body(request, WEBHOOK_MAX_BYTES if request.blueprint == usage.blueprint.name else MAX_BYTES)


def read_whole_body(received: Request, limit: int) -> bytes:
    """Return the body. Raise RequestEntityTooLarge if it is too long, or ClientDisconnected if it is too short.

    Werkzeug silently cuts a chunked body at its limit, so a body of exactly that length counts as too long.
    """
    received.max_content_length = limit
    body = received.get_data()
    if len(body) >= limit:
        raise RequestEntityTooLarge
    if received.content_length not in (None, len(body)):
        raise ClientDisconnected
    return body
