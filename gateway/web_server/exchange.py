"""One HTTP request of a connection, and its answer."""

import time
from collections.abc import Callable, Iterable
from contextvars import copy_context
from datetime import timedelta
from typing import Any, TypeVar

from gunicorn.http import wsgi
from gunicorn.http.errors import NoMoreData, ParseException
from gunicorn.http.unreader import Unreader
from gunicorn.workers.gthread import TConn, ThreadWorker

from gateway.web_server.incoming import Incoming

T = TypeVar("T")


class Incomplete(ParseException):
    """gunicorn's parser asks for more bytes than the complete request has, so the request is malformed."""


class Received(Unreader):
    """The bytes of a request that arrived. A thread never reads from the socket, where it would have to wait."""

    def chunk(self, size_hint: int | None = None) -> bytes:  # noqa: ARG002 - the parser passes it
        """Raise Incomplete, because there are no further bytes."""
        raise Incomplete


class Connection(TConn):
    """A connection, and the request that arrives on it."""

    incoming: Incoming

    def init(self) -> None:
        """Create the parser, and let it read only the bytes that arrived."""
        if not self.initialized:
            super().init()
            self.parser.unreader = Received()


class Exchange:
    """gunicorn's ``handle_request`` in two halves, so that a thread can begin several requests and then answer them.

    An application may leave a part of its work to the iteration of its answer, which is in the second half. What an
    exchange binds to its logs stays with it.
    """

    def __init__(self, worker: ThreadWorker, conn: Connection, send_timeout: float) -> None:
        """Create the exchange of a complete request. The client has ``send_timeout`` seconds to take the answer."""
        self._worker = worker
        self._conn = conn
        self._send_timeout = send_timeout
        self._context = copy_context()
        self._request: Any = None
        self._response: Any = None
        self._environ: dict[str, Any] = {}
        self._parts: Iterable[bytes] | None = None

    def begin(self) -> None:
        """Parse the request and call the application."""
        self._parts = self._run(self._call)

    def finish(self) -> bool:
        """Send the answer. Return whether the connection can be kept."""
        parts = self._parts
        return parts is not None and bool(self._run(lambda: self._send(parts)))

    def _run(self, half: Callable[[], T]) -> T | None:
        try:
            return self._context.run(half)
        except (StopIteration, NoMoreData, OSError) as error:
            self._worker.log.debug("Closing connection. %s", error)
        except Exception as error:
            if self._response is not None and self._response.headers_sent:  # an answer cannot be taken back
                self._worker.log.exception("Error handling request")
            else:
                self._worker.handle_error(self._request, self._conn.sock, self._conn.client, error)
        return None

    def _call(self) -> Iterable[bytes]:
        conn, worker = self._conn, self._worker
        conn.init()
        conn.sock.settimeout(self._send_timeout)
        conn.parser.unreader.unread(conn.incoming.request())
        self._request = next(conn.parser)
        self._request._expected_100_continue = False  # noqa: SLF001 - the event loop has sent it
        self._began = time.monotonic()
        self._response, self._environ = wsgi.create(self._request, conn.sock, conn.client, conn.server, worker.cfg)
        self._environ["wsgi.multithread"] = True
        count_request(worker)
        if not may_keep_connections(worker):
            self._response.force_close()
        parts: Iterable[bytes] = worker.wsgi(self._environ, self._response.start_response)
        return parts

    def _send(self, parts: Iterable[bytes]) -> bool:
        try:
            for part in parts:
                self._response.write(part)
            self._response.close()
        finally:
            took = timedelta(seconds=time.monotonic() - self._began)
            self._worker.log.access(self._response, self._request, self._environ, took)
            if hasattr(parts, "close"):
                parts.close()
        return not self._response.should_close() and ends_with_its_body(self._conn)


def count_request(worker: ThreadWorker) -> None:
    """Count a request, and let the worker end after its last one."""
    worker.nr += 1
    if worker.nr >= worker.max_requests and worker.alive:
        worker.log.info("Autorestarting worker after current request.")
        worker.alive = False


def may_keep_connections(worker: ThreadWorker) -> bool:
    """Return whether the worker may keep connections after their requests."""
    return bool(worker.alive and worker.cfg.keepalive) and len(worker.keepalived_conns) < worker.max_keepalived


def ends_with_its_body(conn: Connection) -> bool:
    """Return whether the next request begins where the answered one ends, so that the connection can be kept."""
    try:
        return bool(conn.parser.finish_body())
    except ParseException:
        return False
