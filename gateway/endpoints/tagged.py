"""Answer with JSON that needs no schema at run time. That makes the most frequent reads fast."""

from collections.abc import Callable
from functools import wraps
from hashlib import blake2b
from typing import Any, ParamSpec

import orjson
from flask import Response, request

from gateway.endpoints.apidoc import describe

P = ParamSpec("P")
Json = dict[str, Any]
MAY_BE_KEPT = "private, no-cache"  # a client may keep the answer, and must ask whether it still holds


def write_json(body: Json) -> Response:
    """Return the body as an answer. Times are written in ISO 8601 with Z."""
    return Response(orjson.dumps(body, option=orjson.OPT_UTC_Z), content_type="application/json")


def tagged(view: Callable[P, Json]) -> Callable[P, Response]:
    """Send what the view returns with its ETag, or 304 if the client names that tag."""

    @wraps(view)
    def answer(*args: P.args, **kwargs: P.kwargs) -> Response:
        response = write_json(view(*args, **kwargs))
        tag = blake2b(response.get_data(), digest_size=16).hexdigest()
        if request.if_none_match.contains_weak(tag):
            response = Response(status=304)
        response.set_etag(tag)
        response.headers["Cache-Control"] = MAY_BE_KEPT
        return response

    describe(answer, etag=True)
    return answer
