"""WSGI middleware that names each request in the logs and in its answer."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
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
        """Answer one request. Its span ends with its answer.

        What is bound stays until the next request in this context, because gunicorn logs the access after this call.
        """
        request_id = choose_request_id(environ)
        clear_contextvars()
        bind_contextvars(request_id=request_id)

        about = {"method": environ["REQUEST_METHOD"], "path": environ["PATH_INFO"]}

        def start(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
            note(status=int(status.partition(" ")[0]))
            return start_response(status, [*headers, (HEADER, request_id)], *error)

        with ExitStack() as stack:
            parent = environ.get("HTTP_TRACEPARENT")
            note = stack.enter_context(telemetry.span("request", parent, request_id=request_id, **about))
            parts = self._application(environ, start)
            return end_with(parts, stack.pop_all())


def end_with(parts: Iterable[bytes], stack: ExitStack) -> Iterator[bytes]:
    """Yield the parts of an answer, then close it and ``stack``."""
    with stack:
        if hasattr(parts, "close"):
            stack.callback(parts.close)
        yield from parts
