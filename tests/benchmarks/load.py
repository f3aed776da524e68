"""A load generator that uses little CPU itself, with one thread, keep-alive sockets and prepared bytes."""

import selectors
import socket
import statistics
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass


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
                _require_ok(answered.recv(65536))
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


def _require_ok(answer: bytes) -> None:
    """Raise RuntimeError for any answer but 200. These answers have no body, so one read returns all of it."""
    if not answer.startswith(b"HTTP/1.1 200 ") or not answer.endswith(b"\r\n\r\n"):
        raise RuntimeError(f"not acknowledged: {answer[:200]!r}")
