"""Check each request before its view runs.

The whole body is read here, so that no view runs with half of it.
"""

from flask import request
from werkzeug.exceptions import ClientDisconnected, NotFound, RequestEntityTooLarge

from gateway.config import WEBHOOK_MAX_BYTES
from gateway.endpoints import usage, webhooks

MAX_BYTES = 64 * 1024
SENDS_MORE = (usage.blueprint.name, webhooks.blueprint.name)  # these may send as much as Stripe does


def refuse_leading_slashes() -> None:
    """Raise NotFound for a path that begins with two slashes. Werkzeug would take it for one with a single slash.

    A proxy that blocks or limits some paths would compare another path than the one that is served.
    """
    if request.environ["PATH_INFO"].startswith("//"):
        raise NotFound


def read_body() -> None:
    """Read the body. Raise RequestEntityTooLarge if it is too long, or ClientDisconnected if it is too short.

    This runs for every path and before the token is verified. A malformed chunk would otherwise only be noticed after
    the answer. Werkzeug silently cuts a chunked body at its limit, so a body of exactly that length counts as too long.
    """
    limit = WEBHOOK_MAX_BYTES if request.blueprint in SENDS_MORE else MAX_BYTES
    request.max_content_length = limit
    length = len(request.get_data())
    if length >= limit:
        raise RequestEntityTooLarge
    if request.content_length not in (None, length):
        raise ClientDisconnected
