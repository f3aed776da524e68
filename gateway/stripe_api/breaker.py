"""Stop calling Stripe while it does not answer, so that requests fail fast instead of holding their threads.

Several attempts in a row without an answer open the breaker. An open breaker refuses every attempt. After a pause it
lets one probe Stripe, and the outcome of the probe closes the breaker or begins the next pause.

No library fits. pybreaker holds a lock during each call, so only one thread could call Stripe at a time. circuitbreaker
and purgatory take no lock, so after the pause every thread would probe at the same time and hang.
"""

import math
import threading
import time
from collections.abc import Callable
from enum import Enum

import structlog

from gateway.errors import StripeNotCalled
from gateway.metrics import BREAKER_TRANSITIONS, CALLS_REFUSED

PAUSE = 5.0  # seconds between the last failure and the next probe
STRIKES_TO_OPEN = 20

log = structlog.get_logger()


class Outcome(Enum):
    """How an attempt ended. The value is its number of strikes.

    Five silent attempts in a row open the breaker. An answer 5xx may concern its request alone, so it takes twenty.
    """

    ANSWERED = 0
    FAILED = 1
    """Stripe answered 5xx, or a proxy answered in its place."""
    SILENT = 4
    """No answer came in time, or there was no connection."""


class Breaker:
    """The breaker of one process. Its threads share it.

    ``clock`` returns monotonic seconds. ``on_open`` is called with the length of each pause, without the lock.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, on_open: Callable[[float], None] = lambda _pause: None
    ) -> None:
        self._clock = clock
        self._on_open = on_open
        self._lock = threading.Lock()
        self._strikes = 0
        self._opened_at: float | None = None  # None while the breaker is closed
        self._probe_at = 0.0
        self._probing = False
        self._episode = 0  # counts the transitions, so that an attempt from before one cannot cause the next

    def refuse_if_open(self) -> None:
        """Raise StripeNotCalled if ``enter`` would refuse an attempt now."""
        with self._lock:
            self._refuse_if_open()

    def enter(self) -> int:
        """Begin an attempt, and return the episode for ``leave``. Raise StripeNotCalled while the breaker is open.

        The first attempt after the pause is the probe. The others are refused until it ends.
        """
        with self._lock:
            self._refuse_if_open()
            self._probing = self._opened_at is not None
            return self._episode

    def leave(self, episode: int, outcome: Outcome | None) -> None:
        """Record how the attempt ended. None means that it failed on our side and says nothing about Stripe."""
        with self._lock:
            if episode != self._episode:
                return
            probed, self._probing = self._probing, False
            if outcome is None:
                return
            if outcome is Outcome.ANSWERED:
                self._strikes = 0
                if probed:
                    self._close()
                return
            self._strikes += outcome.value
            if not probed and self._strikes < STRIKES_TO_OPEN:
                return
            self._open()
        self._on_open(PAUSE)

    def _refuse_if_open(self) -> None:
        wait = self._probe_at - self._clock()
        if self._opened_at is None or (wait <= 0 and not self._probing):
            return
        CALLS_REFUSED.labels("breaker").inc()
        seconds = max(1, math.ceil(wait if wait > 0 else PAUSE))
        raise StripeNotCalled(
            "Stripe does not answer at the moment. Please try again later.", headers={"Retry-After": str(seconds)}
        )

    def _open(self) -> None:
        now = self._clock()
        self._probe_at = now + PAUSE
        self._episode += 1
        if self._opened_at is None:  # otherwise a probe failed, which is no transition
            self._opened_at = now
            BREAKER_TRANSITIONS.labels("open").inc()
            log.warning("stripe_breaker_opened", strikes=self._strikes)

    def _close(self) -> None:
        BREAKER_TRANSITIONS.labels("closed").inc()
        log.warning("stripe_breaker_closed", seconds=round(self._clock() - (self._opened_at or 0), 1))
        self._opened_at = None
        self._episode += 1
