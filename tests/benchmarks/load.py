"""A load generator that uses little CPU itself, with one thread, keep-alive sockets and prepared bytes."""

import re
import selectors
import socket
import statistics
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)


@dataclass(frozen=True)
class Result:
    """The times of one run of requests. Latencies are in seconds."""

    seconds: float
    latencies: Sequence[float]
    answered_at: Sequence[float]
    """The time of each answer in seconds of ``time.perf_counter``, in the order of the requests."""

    @property
    def rate(self) -> float:
        """Return the requests per second."""
        return len(self.latencies) / self.seconds

    @property
    def p99(self) -> float:
        """Return the 99th percentile of the latencies."""
        return statistics.quantiles(self.latencies, n=100)[98]


def fire(port: int, requests: Sequence[bytes], connections: int, rate: float | None = None) -> Result:
    """Send all requests over several connections. Each connection sends its next request after an answer 200.

    ``rate`` limits the requests per second.
    """
    with selectors.DefaultSelector() as selector:
        idle: deque[socket.socket] = deque()  # takes the longest idle connection first, or the server would close it
        for _ in range(connections):
            connection = socket.create_connection(("127.0.0.1", port))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            selector.register(connection, selectors.EVENT_READ)
            idle.append(connection)
        sent_at: dict[socket.socket, tuple[int, float]] = {}
        latencies: list[float] = []
        answered_at = [0.0] * len(requests)
        waiting = _paced(requests, rate)
        began = time.perf_counter()
        number, request, due = next(waiting)
        while len(latencies) < len(requests):
            while idle and request is not None and time.perf_counter() - began >= due:
                connection = idle.popleft()
                sent_at[connection] = number, time.perf_counter()
                connection.sendall(request)
                number, request, due = next(waiting, (0, None, 0.0))
            pause = max(0.0, due - (time.perf_counter() - began)) if idle and request is not None else 5.0
            for key, _events in selector.select(pause):
                answered = key.fileobj
                assert isinstance(answered, socket.socket)
                _receive_ok(answered)
                sent, moment = sent_at.pop(answered)
                answered_at[sent] = time.perf_counter()
                latencies.append(answered_at[sent] - moment)
                idle.append(answered)
        seconds = time.perf_counter() - began
        for key in list(selector.get_map().values()):
            assert isinstance(key.fileobj, socket.socket)
            key.fileobj.close()
    return Result(seconds, latencies, answered_at)


def _paced(requests: Sequence[bytes], rate: float | None) -> Iterator[tuple[int, bytes | None, float]]:
    for number, request in enumerate(requests):
        yield number, request, number / rate if rate else 0.0


def _receive_ok(connection: socket.socket) -> None:
    """Receive an answer with its body. Raise RuntimeError for any answer but 200 and 202."""
    answer = connection.recv(65536)
    while not _is_complete(answer):
        answer += connection.recv(65536)
    if not answer.startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 202 ")):
        raise RuntimeError(f"not answered: {answer[:200]!r}")


def _is_complete(answer: bytes) -> bool:
    """Return whether this is a whole answer. Raise RuntimeError if it does not say how long it is."""
    head, end, body = answer.partition(b"\r\n\r\n")
    if answer and not end:
        return False
    length = CONTENT_LENGTH.search(head)
    if length is None:
        raise RuntimeError(f"not answered: {answer[:200]!r}")
    return len(body) >= int(length[1])
