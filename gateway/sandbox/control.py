"""The sandbox's own interface, ``/_sandbox/…``: JSON in and out, no key needed. Nothing of it is Stripe's."""

from flask import Blueprint, Response, request

from gateway.sandbox import encoding, faults
from gateway.sandbox.engine import Engine
from gateway.sandbox.errors import StripeError, invalid
from gateway.sandbox.json_types import Json


def blueprint(engine: Engine) -> Blueprint:
    """The routes; an error is ``{"error": {"type", "message", "param"}}``."""
    control = Blueprint("control", __name__, url_prefix="/_sandbox")

    @control.post("/faults")
    def add_fault() -> Response:
        fault = faults.read(_body())
        engine.faults.add(fault)
        return _json(fault.shown(), 201)

    @control.get("/faults")
    def list_faults() -> Response:
        return _json({"faults": engine.faults.shown()})

    @control.delete("/faults")
    def clear_faults() -> Response:
        engine.faults.clear()
        return _json({"faults": []})

    @control.errorhandler(StripeError)
    def refused(error: StripeError) -> Response:
        return _json({"error": error.fields}, error.status)

    return control


def _body() -> object:
    """The JSON, whatever content type it came with: curl's ``-d`` says that it is a form."""
    body = request.get_json(force=True, silent=True)
    if body is None:
        raise invalid("The body must be JSON.")
    return body


def _json(answer: Json, status: int = 200) -> Response:
    return Response(encoding.dump(answer) + b"\n", status, content_type="application/json")
