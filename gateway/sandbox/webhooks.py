"""Delivery of events to webhook endpoints: signed, retried, counted."""

import heapq
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import requests
import stripe

from gateway.sandbox import encoding
from gateway.sandbox.json_types import Json

_TIMEOUT = 10.0
_log = logging.getLogger(__name__)


@dataclass(order=True)
class _Delivery:
    """One event on its way to one endpoint. ``due`` and ``number`` order the queue."""

    due: float
    number: int
    url: str = field(compare=False)
    secret: str = field(compare=False)
    event: Json = field(compare=False)
    body: str = field(compare=False, default="")
    tries: int = field(compare=False, default=0)


class Deliverer:
    """A thread that posts events until each endpoint answered 2xx, or ``retry_delays`` (seconds) are used up.

    Every try is signed afresh over the same body; redirects are not followed (https://docs.stripe.com/webhooks).
    Deliveries start in the order of their events, retries fall behind; as with Stripe, nobody may rely on order.
    """

    def __init__(
        self, *, clock: Callable[[], float], retry_delays: Sequence[float], delivered: Callable[[str], None]
    ) -> None:
        self._clock = clock
        self._retry_delays = retry_delays
        self._delivered = delivered
        self._queue: list[_Delivery] = []
        self._changed = threading.Condition()
        self._closed = False
        self._numbers = 0
        self._thread = threading.Thread(target=self._run, name="sandbox-webhooks", daemon=True)

    def start(self) -> None:
        """Begin to deliver."""
        self._thread.start()

    def close(self) -> None:
        """Stop; what was not delivered is dropped."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join()

    def put(self, url: str, secret: str, event: Json) -> None:
        """Queue an event for an endpoint."""
        with self._changed:
            self._numbers += 1
            heapq.heappush(self._queue, _Delivery(time.monotonic(), self._numbers, url, secret, event))
            self._changed.notify()

    def _run(self) -> None:
        with requests.Session() as session:
            session.trust_env = False  # a proxy from the environment has no business between two local processes
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
        delivery.body = delivery.body or encoding.dump(delivery.event).decode()
        if self._post(session, delivery):
            self._delivered(delivery.event["id"])
            return
        if delivery.tries == len(self._retry_delays):
            _log.warning("Gave up to deliver %s to %s", delivery.event["id"], delivery.url)
            return
        delivery.due = time.monotonic() + self._retry_delays[delivery.tries]
        delivery.tries += 1
        with self._changed:
            heapq.heappush(self._queue, delivery)

    def _post(self, session: requests.Session, delivery: _Delivery) -> bool:
        signature = stripe.WebhookSignature.generate_signature_header(
            delivery.body, delivery.secret, int(self._clock())
        )
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "Stripe-Signature": signature,
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
        }
        try:
            answer = session.post(
                delivery.url,
                data=delivery.body.encode(),
                headers=headers,
                timeout=_TIMEOUT,
                allow_redirects=False,
            )
        except requests.RequestException:
            return False
        return answer.ok and not answer.is_redirect
