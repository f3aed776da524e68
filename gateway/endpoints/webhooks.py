"""``POST /webhooks/stripe`` verifies, stores and acknowledges a delivery.

Deliveries are most of the requests. They pass in front of Flask, whose dispatch would cost as much as all the rest.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from werkzeug import Request
from werkzeug.exceptions import MethodNotAllowed

from gateway import problems
from gateway.config import WEBHOOK_MAX_BYTES
from gateway.endpoints.request_checks import read_whole_body
from gateway.endpoints.request_context import WebApp
from gateway.metrics import DELIVERIES
from gateway.services.webhooks.endpoint_check import WEBHOOK_PATH

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class WebhookIngress:
    """WSGI middleware that answers Stripe's deliveries, and passes every other request to the application."""

    def __init__(self, application: "WSGIApplication", web: WebApp, headers: dict[str, str]) -> None:
        """Answer with these ``headers``, which every answer of the application has too."""
        self._application = application
        self._web = web
        self._headers = headers
        self._acknowledgement = [("Content-Length", "0"), *headers.items()]

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Take one delivery. Answer 200 only after the commit, because Stripe redelivers after any other status."""
        if environ["PATH_INFO"] != WEBHOOK_PATH:
            return self._application(environ, start_response)
        try:
            self._receive(environ)
        except Exception as error:  # noqa: BLE001 - rendered and, if unexpected, logged there
            problem = problems.render(error)
            problem.headers.update(self._headers)
            DELIVERIES.labels(str(problem.status_code)).inc()
            return problem(environ, start_response)
        DELIVERIES.labels("200").inc()
        start_response("200 OK", self._acknowledgement[:])
        return []

    def _receive(self, environ: "WSGIEnvironment") -> None:
        if environ["REQUEST_METHOD"] != "POST":
            raise MethodNotAllowed(["POST"])
        body = read_whole_body(Request(environ), WEBHOOK_MAX_BYTES)
        if self._web.inbox.receive(body, environ.get("HTTP_STRIPE_SIGNATURE")):
            self._web.wakeup.request_drain()
