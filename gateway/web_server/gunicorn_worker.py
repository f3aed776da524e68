"""gunicorn's threaded worker, changed so that no slow client can hold one of its threads.

gunicorn's own worker gives a connection to a thread with its first byte. The thread then waits for the rest of the
request without a limit, so a client per thread stops the process. Here the event loop collects each request, and a
thread gets it when it is complete. The loop also waits for clients that are slow to close their connection.

Deliveries from Stripe have a thread of their own. It takes all that have arrived, and one commit stores them.
"""

import errno
import selectors
import socket
import time
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any

from gunicorn import util
from gunicorn.http.errors import (
    ExpectationFailed,
    LimitRequestHeaders,
    LimitRequestLine,
    ParseException,
    UnsupportedTransferCoding,
)
from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER, ThreadWorker

from gateway import problems
from gateway.services.webhooks.endpoint_check import WEBHOOK_PATH
from gateway.web_server.exchange import Connection, Exchange
from gateway.web_server.incoming import BodyTooLarge, HeadTooLarge, Incoming, RequestTooSlow

REQUEST_TIMEOUT = 15.0  # seconds in which a request must arrive completely
ANSWER_TIMEOUT = 10.0  # seconds in which a client must take an answer
LINGER = 2.0  # seconds in which a client must close its side of a connection that we closed
PIECE = 64 * 1024
# Each has a thread of its own. Requests that wait for a lock or for Stripe may hold all other threads, and readiness
# waits for a lost database. A supervisor that got no answer from liveness would kill a process that only waits.
PROBES = (b"/health/live", b"/health/ready")
DELIVERIES = WEBHOOK_PATH.encode()
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
NOTHING_TO_ACCEPT = (errno.EAGAIN, errno.ECONNABORTED, errno.EWOULDBLOCK)
STATUSES: dict[type[Exception], int] = {
    RequestTooSlow: 408,
    BodyTooLarge: 413,
    LimitRequestLine: 414,
    ExpectationFailed: 417,
    HeadTooLarge: 431,
    LimitRequestHeaders: 431,
    UnsupportedTransferCoding: 501,
}


class GatewayWorker(ThreadWorker):
    """The worker class of ``gateway serve``.

    A connection without a thread is in one of three queues, and in the poller. ``pending_conns`` receive a request.
    ``keepalived_conns`` are idle. ``closing_conns`` have their last answer, and wait for the client to close them.
    """

    def init_process(self) -> None:
        """Begin without connections."""
        self.closing_conns: deque[Connection] = deque()
        self.probe_threads: Mapping[bytes, Executor] = {path: ThreadPoolExecutor(1) for path in PROBES}
        self.deliveries: list[Connection] = []
        self.is_delivering = False
        self.delivery_thread = ThreadPoolExecutor(1)
        self.notified_at = 0.0
        # The parser reads about twenty settings for each request. gunicorn searches for each that is no attribute.
        self.cfg.__dict__.update((name, setting.get()) for name, setting in self.cfg.settings.items())
        super().init_process()

    def notify(self) -> None:
        """Tell the arbiter once a second that the process lives. gunicorn's method does so in each turn of the loop."""
        if (now := time.monotonic()) >= self.notified_at + 1:
            self.notified_at = now
            super().notify()

    def accept(self, listener: socket.socket) -> None:
        """Accept a connection."""
        try:
            client, address = listener.accept()
        except OSError as error:
            if error.errno not in NOTHING_TO_ACCEPT:
                raise
            return
        self.nr_conns += 1
        self.receive(Connection(self.cfg, client, address, listener.getsockname()))

    def enqueue_req(self, conn: Connection) -> None:
        """Give a complete request to a thread. Deliveries from Stripe wait for the end of the event loop's turn."""
        if conn.incoming.target == DELIVERIES:
            self.deliveries.append(conn)
            return
        threads = self.probe_threads.get(conn.incoming.target, self.tpool)
        answered = threads.submit(self.handle, conn)
        answered.add_done_callback(lambda done: self.method_queue.defer(self.finish_request, conn, done))

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """Handle what has happened, then give the deliveries to their thread.

        Deliveries that arrive during a group form the next one.
        """
        super().wait_for_and_dispatch_events(timeout)
        if self.is_delivering:
            return
        known = 0
        # More may have arrived while these were read. A full process handles its limits first (``murder_pending``).
        while known < len(self.deliveries) and self.nr_conns < self.worker_connections:
            known = len(self.deliveries)
            super().wait_for_and_dispatch_events(0)
        if self.deliveries:
            group, self.deliveries, self.is_delivering = self.deliveries, [], True
            answered = self.delivery_thread.submit(self.handle_deliveries, group)
            answered.add_done_callback(lambda done: self.method_queue.defer(self.finish_deliveries, group, done))

    def finish_deliveries(self, group: Sequence[Connection], answered: Future[list[bool]]) -> None:
        """Keep or close the connections of answered deliveries. Runs in the event loop."""
        self.is_delivering = False
        for conn, keeps in zip(group, answered.result(), strict=True):
            self.release(conn, keeps=keeps)

    def receive(self, conn: Connection, data: bytes | None = None) -> None:
        """Receive a request, of which ``data`` is here already."""
        conn.incoming = Incoming()
        conn.sock.setblocking(False)
        if not self.arrived(conn, data or read(conn)):
            self.put(self.pending_conns, conn, REQUEST_TIMEOUT, self.on_pending_socket_readable)

    def arrived(self, conn: Connection, data: bytes | None) -> bool:
        """Add what arrived. Return whether the connection waits no more, because it has a thread or is closed."""
        if data is None:
            return False
        if not data:
            self.drop(conn)
            return True
        incoming = conn.incoming
        incoming.feed(data)
        if incoming.complete:
            self.enqueue_req(conn)
        elif incoming.expects_continue:
            incoming.expects_continue = False
            with suppress(OSError):  # if the client has gone, the next read says so
                conn.sock.send(CONTINUE)
        return incoming.complete

    def on_pending_socket_readable(self, conn: Connection, client: socket.socket) -> None:
        """Read more of a request."""
        if self.arrived(conn, read(conn)):
            self.take(self.pending_conns, conn, client)

    def on_client_socket_readable(self, conn: Connection, client: socket.socket) -> None:
        """Receive the next request of an idle connection."""
        self.receive(self.take(self.keepalived_conns, conn, client))

    def on_closing_socket_readable(self, conn: Connection, client: socket.socket) -> None:
        """Discard what the client still sends, until it closes its side."""
        if read(conn) == b"":
            self.drop(self.take(self.closing_conns, conn, client))

    def put(self, queue: deque[Connection], conn: Connection, seconds: float, readable: Any) -> None:
        """Let a connection wait in a queue. Each queue has one timeout, so the first one expires first."""
        conn.timeout = time.monotonic() + seconds
        queue.append(conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(readable, conn))

    def take(self, queue: deque[Connection], conn: Connection, client: socket.socket | None = None) -> Connection:
        """Take a connection out of a queue and out of the poller."""
        queue.remove(conn)
        self.poller.unregister(client or conn.sock)
        return conn

    def drop(self, conn: Connection) -> None:
        """Close a connection."""
        self.nr_conns -= 1
        conn.close()

    def murder_pending(self) -> None:
        """Refuse requests that did not arrive in time, and close connections that lingered long enough.

        The event loop calls this after the events that it has found. Closing a connection earlier could leave one of
        its events behind.
        """
        now = time.monotonic()
        while self.pending_conns and self.pending_conns[0].timeout <= now:
            conn = self.take(self.pending_conns, self.pending_conns[0])
            if conn.incoming.data:
                self.handle_error(None, conn.sock, conn.client, RequestTooSlow())
            self.close_slowly(conn)
        while self.closing_conns and self.closing_conns[0].timeout <= now:
            self.drop(self.take(self.closing_conns, self.closing_conns[0]))
        if self.nr_conns >= self.worker_connections:
            self.shed()

    def shed(self) -> None:
        """Close the oldest connection that has no thread, so that slow clients cannot keep others out."""
        for queue in (self.closing_conns, self.keepalived_conns, self.pending_conns):
            if queue:
                self.drop(self.take(queue, queue[0]))
                return

    def finish_request(self, conn: Connection, fs: Future[bool]) -> None:
        """Keep or close the connection of an answered request. Runs in the event loop."""
        self.release(conn, keeps=not fs.cancelled() and fs.exception() is None and fs.result())

    def release(self, conn: Connection, *, keeps: bool) -> None:
        """Keep a connection for its next request, or close it."""
        if not keeps:
            self.close_slowly(conn)
        elif following := conn.parser.unreader.take_buffered():
            self.receive(conn, following)
        else:
            conn.sock.setblocking(False)
            seconds = self.cfg.keepalive if self.alive else min(self.cfg.keepalive, STOP_KEEPALIVE_LINGER)
            self.put(self.keepalived_conns, conn, seconds, self.on_client_socket_readable)

    def close_slowly(self, conn: Connection) -> None:
        """Send FIN, and close when the client has closed its side. Closing earlier could cut off our last answer.

        gunicorn's own worker waits for the client in its event loop, so a few clients that never close stop it.
        """
        try:
            conn.sock.setblocking(False)
            conn.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.drop(conn)
        else:
            self.put(self.closing_conns, conn, LINGER, self.on_closing_socket_readable)

    def handle(self, conn: Connection) -> bool:
        """Answer a complete request in a thread. Return whether the connection can be kept."""
        exchange = Exchange(self, conn, ANSWER_TIMEOUT)
        exchange.begin()
        return exchange.finish()

    def handle_deliveries(self, group: Sequence[Connection]) -> list[bool]:
        """Answer deliveries in their thread. One commit stores all of them.

        A client must take its answer immediately, because the other deliveries wait for it. The answer always fits into
        the socket's buffer, unless the client does not read its answers.
        """
        exchanges = [Exchange(self, conn, send_timeout=0) for conn in group]
        for each in exchanges:
            each.begin()
        return [each.finish() for each in exchanges]

    def handle_error(self, _req: object, client: socket.socket, addr: Any, exc: Exception) -> None:
        """Answer a request that never reached the application with a problem.

        The log names neither the request line nor a header, because both may hold a secret.
        """
        if isinstance(exc, ParseException):
            status = STATUSES.get(type(exc), 400)
            self.log.warning("Refused a request from %s: %s", addr[0] if addr else "a socket", type(exc).__name__)
        else:
            status = 500
            self.log.error("Request crashed", exc_info=exc)
        with suppress(OSError):
            util.write_nonblock(client, answer(status, getattr(self.wsgi, "config", {}).get(problems.HEADERS, {})))


def read(conn: Connection) -> bytes | None:
    """Return what arrived, None if nothing has yet, or nothing (``b""``) if the client has closed its side."""
    try:
        data: bytes = conn.sock.recv(PIECE)
    except BlockingIOError:
        return None
    except OSError:
        return b""
    return data


def answer(status: int, headers: dict[str, str]) -> bytes:
    """Return the whole HTTP answer to a request that could not be read."""
    response = problems.render_status(status)
    response.headers.update({**headers, "Connection": "close"})
    head = "".join(f"{name}: {value}\r\n" for name, value in response.headers)
    return f"HTTP/1.1 {response.status}\r\n{head}\r\n".encode("latin-1") + response.get_data()
