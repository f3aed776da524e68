"""The account that the machine works on: operations through the SDK, and all that can be read back."""

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
"""The SDK's ``options=``; a plain dict does, and mypy would want its TypedDict."""


@dataclass(frozen=True)
class AccountOperation:
    """A request as it was made; ``key`` is None for those that have no idempotency key (DELETE)."""

    kind: str
    params: Json
    key: str | None
    at: int


@dataclass
class WatchedAccount:
    """One example's account, all of whose customers live on one test clock."""

    sandbox: Sandbox
    account: StripeAccount = field(init=False)
    clock: str = field(init=False)
    now: int = 0
    operations: dict[str, AccountOperation] = field(default_factory=dict)
    """By request id."""
    history: History = field(default_factory=History)
    events: list[Json] = field(default_factory=list)
    """All that were heard since the example began, oldest first."""
    repeat: Callable[[], tuple[object, bool]] | None = None
    """Sends the last POST once more; answers what came, and whether it was said to be a replay."""
    last: object = None
    """What the last POST was answered with."""
    _prices: dict[tuple[object, ...], str] = field(default_factory=dict)
    _lines: dict[str, list[Json]] = field(default_factory=dict)
    _meter: str = ""

    def begin(self, at: int) -> None:
        self.account = StripeAccount(self.sandbox)
        self.clock = self.account.test_clock(at)
        self.now = at
        self._meter = self.account.meter("calls").id
        self.history.hear(self.read("/v1/events")[::-1])

    def post(self, kind: str, call: Callable[[Options], Answer], **params: Any) -> Answer | None:
        """Do it under a key of its own; None if Stripe refuses (400, 402, 404), which the model need not foresee."""
        key = f"key {len(self.operations)}"
        answer, request, _replayed = _asked(call, {"idempotency_key": key})
        self.operations[request] = AccountOperation(kind, params, key, self.now)

        def repeat() -> tuple[object, bool]:
            again, _request, replayed = _asked(call, {"idempotency_key": key})
            return _plain(again), replayed

        self.repeat, self.last = repeat, _plain(answer)
        return None if isinstance(answer, stripe.StripeError) else answer

    def delete(self, kind: str, call: Callable[[Options], Answer], **params: Any) -> Answer | None:
        """As ``post()``, for what has no idempotency key."""
        answer, request, _replayed = _asked(call, {})
        self.operations[request] = AccountOperation(kind, params, None, self.now)
        return None if isinstance(answer, stripe.StripeError) else answer

    def advance(self, seconds: int) -> None:
        """Let time pass; Stripe refuses more than two intervals at once."""
        clocks = self.account.v1.test_helpers.test_clocks
        to = self.now + seconds
        started = self.post(
            "advance", lambda options: clocks.advance(self.clock, {"frozen_time": to}, options), frozen_time=to
        )
        if started is None:
            return
        self.repeat = None  # the clock has gone on: its answer is no measure
        while (clock := clocks.retrieve(self.clock)).status == "advancing":
            pass
        assert clock.status == "ready", f"the clock stopped: {clock}"
        self.now = clock.frozen_time

    def price(self, currency: str, interval: str, amount: int, *, metered: bool = False) -> str:
        """A price, made when it is first asked for."""
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
        """Hear of all that has happened."""
        new = self.read("/v1/events", ending_before=self.history.latest)
        self.history.hear(new)
        self.events += new

    def lines(self, invoice: Json) -> list[Json]:
        """All lines of an invoice, of which it shows but ten."""
        shown: list[Json] = invoice["lines"]["data"]
        return self.read(invoice["lines"]["url"]) if invoice["lines"]["has_more"] else shown

    def read(self, path: str, **params: Any) -> list[Json]:
        """A whole list, newest first as it comes; with ``ending_before`` what is newer than that, oldest first."""
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


def _asked(
    call: Callable[[Options], Answer], options: Json
) -> tuple[Answer | stripe.InvalidRequestError | stripe.CardError, str, bool]:
    """The answer, its request id, whether it was replayed. What is not a refusal (a 500, say) is raised."""
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
