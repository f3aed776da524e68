"""WSGI middleware that names each request in the logs and in its answer."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from structlog.contextvars import bind_contextvars, clear_contextvars

from gateway import telemetry
from gateway.request_id import HEADER, choose_request_id

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class Trail:
    """Binds the request's id to all that its thread logs, and adds it to the answer's headers."""

    def __init__(self, application: "WSGIApplication") -> None:
        self._application = application

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer one request.

        What is bound stays until the thread's next request, because gunicorn logs the access after this call.
        """
        request_id = choose_request_id(environ)
        clear_contextvars()
        bind_contextvars(request_id=request_id)

        about = {"method": environ["REQUEST_METHOD"], "path": environ["PATH_INFO"]}

        def start(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
            note(status=int(status.partition(" ")[0]))
            return start_response(status, [*headers, (HEADER, request_id)], *error)

        with telemetry.span("request", environ.get("HTTP_TRACEPARENT"), request_id=request_id, **about) as note:
            return self._application(environ, start)
