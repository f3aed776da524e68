"""The gateway's HTTP client, which records calls and lets a test act while a call is in flight."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import stripe

from gateway.stripe_api.client import TOOK, MeteredClient


class Line(MeteredClient):
    """The SDK's HTTP client.

    ``before`` runs once, before the next call reaches Stripe. ``meanwhile`` runs once, after Stripe answers the next
    call and before the gateway receives the answer.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(None, url="http://127.0.0.1")
        self._clock = clock
        self.calls: list[str] = []
        """The method and path of each call, without the host."""
        self.before: Callable[[], None] | None = None
        self.meanwhile: Callable[[], None] | None = None
        self.dates_late = False
        """Whether the answer has the date of its arrival, as if Stripe read the object and sent it much later."""
        self.loses = False
        """Whether the answer is lost."""

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        post_data: Any = None,
        *,
        _usage: list[str] | None = None,
    ) -> tuple[Any, int, Mapping[str, str]]:
        self.calls.append(f"{method} /{url.split('/', 3)[3].partition('?')[0]}")
        before, self.before = self.before, None
        if before is not None:
            before()
        body, status, answered = super().request(method, url, headers, post_data)
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is None:
            return body, status, answered
        began = self._clock()
        meanwhile()
        if self.loses:
            self.loses = False
            raise stripe.APIConnectionError("connection cut", should_retry=False)  # type: ignore[no-untyped-call]  # the SDK has no types here
        if self.dates_late:
            self.dates_late = False
            date = format_datetime(datetime.fromtimestamp(self._clock(), UTC), usegmt=True)
            answered = {**answered, "Date": date, TOOK: str(self._clock() - began)}
        return body, status, answered

    def forget(self) -> None:
        """Cancel all plans for the next call."""
        self.before, self.meanwhile, self.dates_late, self.loses = None, None, False, False
