"""Signed, concurrent and retried delivery of events to webhook endpoints."""

import heapq
import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import requests
import stripe

from gateway.sandbox import encoding
from gateway.sandbox.json_types import Json

_TIMEOUT = 10.0
_MAX_IN_FLIGHT = 8
"""The number of deliveries that may be in flight. Stripe does not wait for one before it starts the next, either."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Message:
    """An event for an endpoint, with the URL and the secret that the endpoint had at the time of the event."""

    event: Json
    endpoint: str
    url: str
    secret: str = field(repr=False)


@dataclass(order=True)
class _Delivery:
    """A message being delivered.

    ``due`` and ``number`` order the queue. The messages in ``then`` wait until the first attempt of this one.
    """

    due: float
    number: int
    message: Message = field(compare=False)
    then: Sequence[Message] = field(compare=False, default=())
    tries: int = field(compare=False, default=0)


class Deliverer:
    """Threads that post each message until it is answered 2xx or ``retry_delays`` (seconds) are used up.

    Every attempt signs the same body again at the time of ``clock``. Receivers check the age of a signature by their
    clock, so that of the sandbox may not do. Redirects are not followed (https://docs.stripe.com/webhooks).
    Deliveries start in the order of ``put()``, and retries come later. As with Stripe, receivers must not rely on the
    order of arrival.
    """

    def __init__(
        self, *, retry_delays: Sequence[float], delivered: Callable[[Message], None], clock: Callable[[], float]
    ) -> None:
        self._retry_delays = retry_delays
        self._clock = clock
        self._delivered = delivered
        self._queue: list[_Delivery] = []
        self._changed = threading.Condition()
        self._closed = False
        self._numbers = 0
        self._threads = [
            threading.Thread(target=self._run, name=f"sandbox-webhooks-{number}", daemon=True)
            for number in range(_MAX_IN_FLIGHT)
        ]

    def start(self) -> None:
        """Start delivering."""
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Stop delivering and drop the remaining messages."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()

    def put(self, messages: Iterable[Message], *, after: float = 0) -> None:
        """Deliver messages immediately, or in ``after`` seconds."""
        with self._changed:
            for message in messages:
                self._push(message, after)

    def put_in_turn(self, messages: Sequence[Message]) -> None:
        """Deliver messages one by one. Each starts after the first attempt of the one before."""
        with self._changed:
            self._push(messages[0], 0, messages[1:])

    def hurry(self) -> None:
        """Deliver delayed messages immediately. Retries keep their time."""
        with self._changed:
            for delivery in self._queue:
                delivery.due = delivery.due if delivery.tries else 0
            heapq.heapify(self._queue)
            self._changed.notify_all()

    def _push(self, message: Message, after: float, then: Sequence[Message] = ()) -> None:
        self._numbers += 1
        heapq.heappush(self._queue, _Delivery(time.monotonic() + after, self._numbers, message, then))
        self._changed.notify()

    def _run(self) -> None:
        with requests.Session() as session:
            session.trust_env = False  # local deliveries must not go through a proxy from the environment
            while delivery := self._next():
                self._try(session, delivery)

    def _next(self) -> _Delivery | None:
        with self._changed:
            while not self._closed:
                wait = self._queue[0].due - time.monotonic() if self._queue else None
                if wait is not None and wait <= 0:
                    return heapq.heappop(self._queue)
                self._changed.wait(wait)
        return None

    def _try(self, session: requests.Session, delivery: _Delivery) -> None:
        accepted = _post(session, delivery.message, self._clock())
        if accepted:
            self._delivered(delivery.message)
        with self._changed:
            if delivery.then:
                self._push(delivery.then[0], 0, delivery.then[1:])
                delivery.then = ()
            if not accepted:
                self._retry_later(delivery)

    def _retry_later(self, delivery: _Delivery) -> None:
        if delivery.tries == len(self._retry_delays):
            _log.warning("Gave up delivering %s to %s", delivery.message.event["id"], delivery.message.url)
            return
        delivery.due = time.monotonic() + self._retry_delays[delivery.tries]
        delivery.tries += 1
        heapq.heappush(self._queue, delivery)
        self._changed.notify()


def _post(session: requests.Session, message: Message, now: float) -> bool:
    body = encoding.dump(message.event).decode()
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "Stripe-Signature": stripe.WebhookSignature.generate_signature_header(body, message.secret, int(now)),
        "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
    }
    try:
        answer = session.post(message.url, data=body.encode(), headers=headers, timeout=_TIMEOUT, allow_redirects=False)
    except requests.RequestException:
        return False
    return answer.ok and not answer.is_redirect
