"""Answer with JSON that needs no schema at run time. That makes the most frequent reads fast."""

from collections.abc import Callable
from decimal import Decimal
from functools import wraps
from hashlib import blake2b
from typing import NamedTuple, ParamSpec

import orjson
from flask import Response, request

from gateway.endpoints.apidoc import describe

P = ParamSpec("P")


class Tagged(NamedTuple):
    """What a view answers, as a dictionary or a dataclass."""

    body: object
    prefix: str = ""
    """The beginning of the tag."""
    may_be_kept: bool = True
    """Whether a client may keep the answer. It must then ask whether the answer still holds."""


def write_json(body: object) -> Response:
    """Return the body as an answer. Times are written in ISO 8601 with Z, and decimals as text."""
    return Response(orjson.dumps(body, write_decimal, orjson.OPT_UTC_Z), content_type="application/json")


def write_decimal(value: object) -> str:
    """Return a decimal as text. Raise TypeError for any other type."""
    if not isinstance(value, Decimal):
        raise TypeError
    return format(value, "f")


def tagged(view: Callable[P, Tagged]) -> Callable[P, Response]:
    """Send what the view returns with its ETag, or 304 if the client names that tag."""

    @wraps(view)
    def answer(*args: P.args, **kwargs: P.kwargs) -> Response:
        body, prefix, may_be_kept = view(*args, **kwargs)
        response = write_json(body)
        tag = prefix + blake2b(response.get_data(), digest_size=16).hexdigest()
        if request.if_none_match.contains_weak(tag):
            response = Response(status=304)
        response.set_etag(tag)
        response.headers["Cache-Control"] = "private, no-cache" if may_be_kept else "no-store"
        return response

    describe(answer, etag=True)
    return answer
