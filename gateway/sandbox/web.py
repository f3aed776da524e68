"""The Flask app in front of the engine, which handles routes, form bodies and headers."""

import socket
from collections.abc import Callable
from email.utils import formatdate

from flask import Blueprint, Flask, Response, request
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Rule, UnicodeConverter, ValidationError

from gateway.sandbox import pages, portal_pages
from gateway.sandbox.engine import V2, Call, Engine
from gateway.sandbox.events import API_VERSION
from gateway.sandbox.resources import ROUTES
from gateway.sandbox.routing import Route

_NO_IDS = frozenset(["search", "upcoming", "preview", "create_preview", "report_payment"])
"""Path segments that are not ids. ``/v1/customers/search``, for example, names no customer."""
_FOR_BROWSERS = ("/v1/payment_intents/", "/v1/payment_methods", "/v1/setup_intents/")
_CORS = {
    "Access-Control-Allow-Headers": "authorization, content-type, stripe-version",
    "Access-Control-Allow-Methods": "GET, POST",
    "Access-Control-Allow-Origin": "*",
}
"""Headers that let a page of another origin take a card and confirm an intent, as Stripe.js does from any site."""


def create_app(engine: Engine, control: Blueprint) -> Flask:
    """Create the app with Stripe's routes and the sandbox's own (``control``). Other paths get Stripe's 404."""
    app = Flask("gateway.sandbox")
    app.url_rule_class = _Rule
    app.url_map.converters["id"] = _Id
    app.get("/")(
        lambda: {
            "object": "sandbox",
            "description": "A local Stripe. Point a Stripe SDK's base address here.",
        }
    )
    app.register_blueprint(pages.blueprint(engine))
    app.register_blueprint(portal_pages.blueprint(engine))
    for route in ROUTES:
        rule = route.path.replace("{", "<id:").replace("}", ">")
        app.add_url_rule(rule, f"{route.method} {route.path}", _view(engine, route), methods=[route.method])

    app.register_blueprint(control)

    @app.after_request
    def allow_browsers(response: Response) -> Response:
        if request.path.startswith(_FOR_BROWSERS):
            response.headers.update(_CORS)
        return response

    @app.errorhandler(404)
    @app.errorhandler(405)
    def unrecognized(_error: HTTPException) -> Response:
        return _respond(engine, None, {})

    return app


class _Rule(Rule):
    """A rule that builds no URL. The sandbox needs none, and compiling the builders takes most of its start."""

    def _compile_builder(self, append_unknown: bool = True) -> Callable[..., tuple[str, str]]:  # noqa: ARG002 - werkzeug's signature
        return lambda **_: ("", "")


class _Id(UnicodeConverter):
    """A path segment that names an object. It excludes the words that Stripe reserves for other routes."""

    def to_python(self, value: str) -> str:
        """Return the id. Raise ValidationError for a reserved word."""
        if value in _NO_IDS:
            raise ValidationError
        return value


def _view(engine: Engine, route: Route) -> Callable[..., Response]:
    def view(**names: str) -> Response:
        return _respond(engine, route, names)

    return view


def _respond(engine: Engine, route: Route | None, names: dict[str, str]) -> Response:
    key = request.headers.get("Idempotency-Key")
    call = Call(
        method=request.method,
        path=request.path,
        pairs=[*request.args.items(multi=True), *request.form.items(multi=True)],
        authorization=request.headers.get("Authorization", ""),
        version=request.headers.get("Stripe-Version", ""),
        idempotency_key=key,
        content_type=request.mimetype,
        body=request.get_data() if request.path.startswith(V2) else b"",
    )
    reply = engine.handle(call, route, names)
    response = Response(reply.answer.body, reply.answer.status, content_type="application/json")
    response.headers.update(reply.answer.headers)
    response.headers["Date"] = formatdate(engine.clock(), usegmt=True)
    response.headers["Request-Id"] = reply.answer.request_id
    response.headers["Stripe-Version"] = call.version or API_VERSION
    if key and request.method == "POST":
        response.headers["Idempotency-Key"] = key
    if reply.replayed:
        response.headers["Idempotent-Replayed"] = "true"
    if reply.lost:
        request.environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)  # the client must not receive any of the answer
    return response
