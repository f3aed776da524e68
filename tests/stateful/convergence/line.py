"""The gateway's line to Stripe: counted, and open to whatever happens while an answer is on its way."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import stripe

from gateway.stripe_api.client import TOOK, MeteredClient


class Line(MeteredClient):
    """The SDK's HTTP client.

    ``before`` is done once, before a call reaches Stripe; ``meanwhile`` between Stripe's answer and its arrival here.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(None)
        self._clock = clock
        self.calls: list[str] = []
        """Method and path of each, without the host."""
        self.before: Callable[[], None] | None = None
        self.meanwhile: Callable[[], None] | None = None
        self.dates_late = False
        """Whether that answer bears the date of its arrival: Stripe read the object, and was long in sending it."""
        self.loses = False
        """Whether that answer is lost."""

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
            raise stripe.APIConnectionError("cut", should_retry=False)  # type: ignore[no-untyped-call]  # the SDK's
        if self.dates_late:
            self.dates_late = False
            date = format_datetime(datetime.fromtimestamp(self._clock(), UTC), usegmt=True)
            answered = {**answered, "Date": date, TOOK: str(self._clock() - began)}
        return body, status, answered

    def forget(self) -> None:
        """Nothing is to happen with the next answer."""
        self.before, self.meanwhile, self.dates_late, self.loses = None, None, False, False
