"""The stage on which a story plays, with its own sandbox and a record of every request and response."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import stripe

from gateway.sandbox import Sandbox
from gateway.sandbox.resources import ROUTES
from gateway.sandbox.routing import Route
from tests.support.clock import ManualClock
from tests.support.json_types import Json
from tests.support.stripe_account import StripeAccount


@dataclass(frozen=True)
class RecordedExchange:
    """One request of a story and the JSON of its response."""

    story: str
    method: str
    path: str
    status: int
    answer: Json

    def __str__(self) -> str:
        return f"{self.story}: {self.method} {self.path}"


class Recorder(stripe.RequestsClient):
    """The SDK's own HTTP client, which also records every request and response."""

    def __init__(self, story: str) -> None:
        super().__init__()
        self.story = story
        self.exchanges: list[RecordedExchange] = []

    def request(  # type: ignore[override]  # as the SDK itself overrides it
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        body, status, answered = super().request(method, url, headers, post_data)
        answer = json.loads(body)
        self.exchanges.append(RecordedExchange(self.story, method.upper(), urlsplit(url).path, status, answer))
        return body, status, answered


class ScenarioAccount(StripeAccount):
    """A ``StripeAccount`` with its sandbox's clock and the exchanges recorded so far."""

    def __init__(self, sandbox: Sandbox, clock: ManualClock, story: str) -> None:
        self.recorder = Recorder(story)
        super().__init__(sandbox, self.recorder)
        self.sandbox = sandbox
        self.clock = clock

    @property
    def exchanges(self) -> list[RecordedExchange]:
        return self.recorder.exchanges


def route_of(exchange: RecordedExchange) -> Route | None:
    """Return the sandbox's route that served the exchange.

    If several routes match, return the one with the longest literal path.
    """
    matching = [
        route
        for route in ROUTES
        if route.method == exchange.method and re.fullmatch(re.sub(r"{\w+}", "[^/]+", route.path), exchange.path)
    ]
    return max(matching, key=lambda route: len(re.sub(r"{\w+}", "", route.path)), default=None)


@dataclass
class ScenarioHistory:
    """The exchanges of all stories, and each event with the name of its story."""

    exchanges: list[RecordedExchange] = field(default_factory=list)
    events: list[tuple[str, Json]] = field(default_factory=list)
