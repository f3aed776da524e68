"""``POST /webhooks/stripe`` verifies, stores and acknowledges a delivery.

Deliveries are most of the requests. They pass in front of Flask, whose dispatch would cost as much as all the rest.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from werkzeug.exceptions import MethodNotAllowed

from gateway import problems
from gateway.config import MAX_BODY_BYTES
from gateway.endpoints.request_checks import read_whole_body
from gateway.endpoints.request_context import WebApp
from gateway.metrics import DELIVERIES
from gateway.services.webhooks.endpoint_check import WEBHOOK_PATH

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from gateway.services.webhooks.group_commit import PendingRow
    from gateway.services.webhooks.inbox import InboxRow


class WebhookIngress:
    """WSGI middleware that answers Stripe's deliveries, and passes every other request to the application."""

    def __init__(self, application: "WSGIApplication", web: WebApp, headers: dict[str, str]) -> None:
        """Answer with these ``headers``, which every answer of the application has too."""
        self._application = application
        self._web = web
        self._headers = headers
        self._acknowledged = DELIVERIES.labels("200")
        self._acknowledgement = [("Content-Length", "0"), *headers.items()]

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Take one delivery. The iteration of the answer waits for the commit.

        The web worker calls this for all deliveries that have arrived. Then it iterates the answers, and the first one
        commits all of them.
        """
        if environ["PATH_INFO"] != WEBHOOK_PATH:
            return self._application(environ, start_response)
        try:
            delivery = self._read(environ)
        except Exception as error:  # noqa: BLE001 - rendered and, if unexpected, logged there
            return self._refuse(error, environ, start_response)
        return self._acknowledge(delivery, environ, start_response)

    def _read(self, environ: "WSGIEnvironment") -> "PendingRow[InboxRow]":
        if environ["REQUEST_METHOD"] != "POST":
            raise MethodNotAllowed(["POST"])
        body = read_whole_body(environ, MAX_BODY_BYTES)
        return self._web.inbox.add(body, environ.get("HTTP_STRIPE_SIGNATURE"))

    def _acknowledge(
        self, delivery: "PendingRow[InboxRow]", environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterator[bytes]:
        """Answer 200 only after the commit, because Stripe redelivers after any other status."""
        try:
            if self._web.inbox.commit(delivery):
                self._web.wakeup.request_drain()
        except Exception as error:  # noqa: BLE001 - rendered and, if unexpected, logged there
            yield from self._refuse(error, environ, start_response)
        else:
            self._acknowledged.inc()
            start_response("200 OK", self._acknowledgement[:])

    def _refuse(self, error: Exception, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        problem = problems.render(error)
        problem.headers.update(self._headers)
        DELIVERIES.labels(str(problem.status_code)).inc()
        return problem(environ, start_response)
