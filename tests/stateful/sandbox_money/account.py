"""The account under test: operations through the SDK, and all objects read back."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import stripe

from gateway.sandbox import Sandbox
from tests.stateful.sandbox_money.history import History
from tests.support.json_types import Json
from tests.support.stripe_account import StripeAccount

Answer = TypeVar("Answer", bound=stripe.StripeObject)
Options = Any
"""The SDK's ``options=``. We pass a plain dict, and mypy would require the SDK's TypedDict."""


@dataclass(frozen=True)
class AccountOperation:
    """A request to Stripe. ``key`` is None for a DELETE, which has no idempotency key."""

    kind: str
    params: Json
    key: str | None
    at: int


@dataclass
class WatchedAccount:
    """The account of one example. All its customers are on one test clock."""

    sandbox: Sandbox
    account: StripeAccount = field(init=False)
    clock: str = field(init=False)
    now: int = 0
    operations: dict[str, AccountOperation] = field(default_factory=dict)
    """The operations by request id."""
    history: History = field(default_factory=History)
    events: list[Json] = field(default_factory=list)
    """All events since the start of the example, oldest first."""
    repeat: Callable[[], tuple[object, bool]] | None = None
    """Repeats the last POST. Returns the answer, and whether Stripe marked it as a replay."""
    last: object = None
    """The answer to the last POST."""
    _prices: dict[tuple[object, ...], str] = field(default_factory=dict)
    _meter: str = ""

    def begin(self, at: int) -> None:
        self.account = StripeAccount(self.sandbox)
        self.clock = self.account.test_clock(at)
        self.now = at
        self._meter = self.account.meter("calls").id
        self.history.hear(self.read("/v1/events")[::-1])

    def post(self, kind: str, call: Callable[[Options], Answer], **params: Any) -> Answer | None:
        """Make the call under a new key. Return None if Stripe refuses it, which the model need not predict."""
        key = f"key {len(self.operations)}"
        answer, request, _replayed = _call(call, {"idempotency_key": key})
        self.operations[request] = AccountOperation(kind, params, key, self.now)

        def repeat() -> tuple[object, bool]:
            again, _request, replayed = _call(call, {"idempotency_key": key})
            return _plain(again), replayed

        self.repeat, self.last = repeat, _plain(answer)
        return None if isinstance(answer, stripe.StripeError) else answer

    def delete(self, kind: str, call: Callable[[Options], Answer], **params: Any) -> Answer | None:
        """Make a call without an idempotency key, and otherwise do as ``post``."""
        answer, request, _replayed = _call(call, {})
        self.operations[request] = AccountOperation(kind, params, None, self.now)
        return None if isinstance(answer, stripe.StripeError) else answer

    def advance(self, seconds: int) -> None:
        """Let time pass. Stripe refuses to advance by more than two intervals at a time."""
        clocks = self.account.v1.test_helpers.test_clocks
        to = self.now + seconds
        started = self.post(
            "advance", lambda options: clocks.advance(self.clock, {"frozen_time": to}, options), frozen_time=to
        )
        if started is None:
            return
        self.repeat = None  # the clock advances after its answer, so a repetition may differ
        while (clock := clocks.retrieve(self.clock)).status == "advancing":
            pass
        assert clock.status == "ready", f"the clock failed to advance: {clock}"
        self.now = clock.frozen_time

    def price(self, currency: str, interval: str, amount: int, *, metered: bool = False) -> str:
        """Return a price, and create it at its first use."""
        name = (currency, interval, amount, metered)
        if name not in self._prices:
            recurring: Any = {"interval": interval}
            if metered:
                recurring |= {"usage_type": "metered", "meter": self._meter}
            data: Any = {"name": f"{interval}ly {'calls' if metered else 'seats'}"}
            made = self.account.v1.prices.create(
                {"currency": currency, "unit_amount": amount, "recurring": recurring, "product_data": data}
            )
            self._prices[name] = made.id
        return self._prices[name]

    def listen(self) -> None:
        """Read all new events."""
        new = self.read("/v1/events", ending_before=self.history.latest)
        self.history.hear(new)
        self.events += new

    def lines(self, invoice: Json) -> list[Json]:
        """Return all lines of an invoice. The invoice itself shows only ten."""
        shown: list[Json] = invoice["lines"]["data"]
        return self.read(invoice["lines"]["url"]) if invoice["lines"]["has_more"] else shown

    def read(self, path: str, **params: Any) -> list[Json]:
        """Return a whole list, newest first. With ``ending_before``, return the newer objects, oldest first."""
        return list(self._pages(path, {"limit": 100} | params))

    def _pages(self, path: str, params: Json) -> Iterator[Json]:
        onward = "ending_before" in params
        more = True
        while more:
            page: Any = self.account.client.raw_request("get", path, **params).data
            rows = page["data"][::-1] if onward else page["data"]
            yield from rows
            more = page["has_more"]
            params = params | {"ending_before" if onward else "starting_after": rows[-1]["id"] if rows else ""}


def _call(
    call: Callable[[Options], Answer], options: Json
) -> tuple[Answer | stripe.InvalidRequestError | stripe.CardError, str, bool]:
    """Return the answer or refusal, its request id, and whether it is a replay. Other errors, such as a 500, raise."""
    try:
        answer = call(options)
    except (stripe.InvalidRequestError, stripe.CardError) as refused:
        headers: Any = refused.headers
        return refused, headers["Request-Id"], headers.get("Idempotent-Replayed") == "true"
    assert answer.last_response is not None
    headers = answer.last_response.headers
    return answer, headers["Request-Id"], headers.get("Idempotent-Replayed") == "true"


def _plain(answer: stripe.StripeObject | stripe.StripeError) -> object:
    return answer.json_body if isinstance(answer, stripe.StripeError) else answer.to_dict(for_json=True)
