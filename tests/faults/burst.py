"""Sends a burst as Stripe does. Several connections resend each event until the gateway acknowledges it."""

import select
import socket
import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence
from http.client import HTTPException, HTTPResponse
from typing import Self

from tests.support.bulk_events import id_of
from tests.support.wait import eventually

CONNECTIONS = 8
TIMEOUT = 10  # seconds that a connection waits for an answer
PAUSE = 0.01  # seconds between a failure and the next try on that connection


class Burst:
    """Sends deliveries to a local port and counts the results."""

    def __init__(self, port: int, deliveries: Sequence[bytes], name_of: Callable[[bytes], str] = id_of) -> None:
        self._port = port
        self._name_of = name_of
        self._waiting = deque(deliveries)
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self.in_flight = 0
        """The number of deliveries in flight."""
        self._sent: set[socket.socket] = set()
        self.cut = 0
        """The number of deliveries whose connection broke before an answer."""
        self.acknowledged: set[str] = set()
        """The names of the deliveries that the gateway accepted, which are their events' ids by default."""
        self.refusals: Counter[int] = Counter()
        """The number of answers for each status that accepts nothing."""
        self.unreachable = 0
        """The number of connections that failed because no process listened."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    @property
    def waiting(self) -> int:
        """Return the number of events that are not acknowledged yet."""
        return len(self._waiting) + self.in_flight

    def count_unanswered(self) -> int:
        """Return how many deliveries were sent whole and have no answer in their connection's buffer."""
        sent = [*self._sent]
        answered, _, _ = select.select(sent, [], [], 0)
        return len(sent) - len(answered)

    def start(self) -> None:
        """Send until every event is acknowledged or the caller calls ``stop``."""
        self._stop.clear()
        self._threads = [threading.Thread(target=self._run) for _ in range(CONNECTIONS)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop sending. Return once no delivery is in flight."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def finish(self, seconds: float = 30) -> None:
        """Resume sending until every event is acknowledged."""
        self.stop()
        self.start()
        try:
            eventually(lambda: self.waiting == 0, seconds)
        finally:
            self.stop()

    def _run(self) -> None:
        connection: socket.socket | None = None
        while not self._stop.is_set():
            with self._lock:
                if not self._waiting:
                    break
                delivery = self._waiting.popleft()
                self.in_flight += 1
            connection, acknowledged = self._deliver(connection, delivery)
            with self._lock:
                self.in_flight -= 1
                if not acknowledged:
                    self._waiting.append(delivery)
            if not acknowledged:
                self._stop.wait(PAUSE)
        if connection is not None:
            connection.close()

    def _deliver(self, connection: socket.socket | None, delivery: bytes) -> tuple[socket.socket | None, bool]:
        """Send a delivery once. Return the connection if it is reusable, and whether the event was acknowledged."""
        try:
            if connection is None:
                connection = socket.create_connection(("127.0.0.1", self._port), timeout=TIMEOUT)
        except OSError:
            self.unreachable += 1
            return None, False
        try:
            connection.sendall(delivery)
            self._sent.add(connection)
            answer = HTTPResponse(connection)
            answer.begin()
            answer.read()
        except (OSError, HTTPException):
            self._sent.discard(connection)
            connection.close()
            self.cut += 1
            return None, False
        self._sent.discard(connection)
        accepted = answer.status in (200, 202)
        if accepted:
            self.acknowledged.add(self._name_of(delivery))
        else:
            self.refusals[answer.status] += 1
        if answer.will_close:
            connection.close()
        return None if answer.will_close else connection, accepted
