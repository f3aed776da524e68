"""``Idempotency-Key`` on a view. A repeated request gets the first one's answer."""

import hashlib
import re
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from http import HTTPStatus
from typing import ParamSpec

from flask import Response, current_app, g, request

from gateway.endpoints.apidoc import describe
from gateway.endpoints.request_context import caller, gateway
from gateway.errors import GatewayError, InvalidRequest
from gateway.problems import CONTENT_TYPE as PROBLEM
from gateway.problems import render_gateway_error
from gateway.services import idempotency
from gateway.services.idempotency import Answer

P = ParamSpec("P")
KEY = re.compile(r"\A[\x21-\x7e]{1,255}\Z")
# These errors depend on the moment, not on the request, so a retry with the same key may succeed.
NOT_KEPT = frozenset({"change_in_progress", "rate_limited", "request_in_progress"})


def idempotent(view: Callable[P, Response]) -> Callable[P, Response]:
    """Run a request with a key once. Run a request without a key every time."""

    @wraps(view)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> Response:
        key = request.headers.get("Idempotency-Key")
        if key is None:
            return view(*args, **kwargs)
        if not KEY.match(key):
            raise InvalidRequest("The Idempotency-Key must be 1 to 255 visible ASCII characters.")
        if (known := idempotency.claim_key(gateway(), caller(), key, fingerprint())) is not None:
            return replay(known)
        g.caller = replace(caller(), idempotency_key=key)
        return run_once(lambda: view(*args, **kwargs))

    describe(guarded, idempotent=True)
    return guarded


def run_once(view: Callable[[], Response]) -> Response:
    """Run the view and store its answer, even if that is one of our errors. Release the key if it stored none."""
    kept = False
    try:
        try:
            response = current_app.make_response(view())
            keeps = True
        except GatewayError as error:
            response = render_gateway_error(error)
            keeps = error.status < HTTPStatus.INTERNAL_SERVER_ERROR and error.code not in NOT_KEPT
        if keeps:
            answer = Answer(response.status_code, response.headers.get("Location"), response.get_data(as_text=True))
            idempotency.store_answer(gateway(), caller(), answer)
            kept = True
        return response
    finally:
        if not kept:
            idempotency.release_key(gateway(), caller())


def fingerprint() -> str:
    """Return a hash of everything that the request asks for."""
    asked = [request.method, request.full_path, request.headers.get("If-Match", "")]
    return hashlib.sha256("\n".join(asked).encode() + request.get_data()).hexdigest()


def replay(answer: Answer) -> Response:
    """Return the stored answer as a response."""
    is_problem = answer.status >= HTTPStatus.BAD_REQUEST
    response = Response(answer.body, answer.status, content_type=PROBLEM if is_problem else "application/json")
    response.headers["Idempotent-Replayed"] = "true"
    if answer.location is not None:
        response.headers["Location"] = answer.location
    return response
