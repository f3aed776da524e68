"""Check each request before its view runs.

The whole body is read here, so that no view runs with half of it.
"""

from io import BytesIO
from typing import TYPE_CHECKING

from flask import request
from werkzeug.exceptions import ClientDisconnected, NotFound, RequestEntityTooLarge
from werkzeug.wsgi import get_content_length, get_input_stream

from gateway.config import MAX_BODY_BYTES
from gateway.endpoints import usage
from gateway.endpoints.blueprint import has_body

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

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
    if has_body():
        # Usage comes in batches, which may be as long as a webhook.
        limit = MAX_BODY_BYTES if request.blueprint == usage.blueprint.name else MAX_BYTES
        request.environ["wsgi.input"] = BytesIO(read_whole_body(request.environ, limit))


def read_whole_body(environ: "WSGIEnvironment", limit: int) -> bytes:
    """Return the body. Raise RequestEntityTooLarge if it is too long, or ClientDisconnected if it is too short.

    A body of exactly ``limit`` bytes counts as too long. The web worker has received the whole body, so one read
    returns all of it. Werkzeug would read it in pieces, which takes a tenth of the time of an acknowledgement.
    """
    length = get_content_length(environ)
    if length is not None and length >= limit:
        raise RequestEntityTooLarge
    body = get_input_stream(environ).read(limit)
    if len(body) >= limit:
        raise RequestEntityTooLarge
    if length not in (None, len(body)):
        raise ClientDisconnected
    return body
