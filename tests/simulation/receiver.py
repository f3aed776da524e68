"""The system that the gateway notifies. It keeps each message once, in the order of arrival, and is away at times."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from random import Random
from typing import Any

import orjson
import requests

from tests.simulation.wire import Answer
from tests.support.json_types import Json


@dataclass
class Receiver:
    """Konnect. ``trouble`` is the probability that it does not accept a message, or that its answer is lost."""

    random: Random
    trouble: float = 0
    messages: dict[str, Json] = field(default_factory=dict)
    """The accepted messages by id, in the order of their first arrival."""
    repeated: int = 0

    def post(
        self, _url: str, *, data: bytes, headers: Mapping[str, str], **_options: Any
    ) -> AbstractContextManager[Answer]:
        """Take a message as ``requests.post`` would bring it."""
        fate = self.random.choice(("refused", "away", "lost")) if self.random.random() < self.trouble else ""
        if fate == "away":
            raise requests.ConnectionError("away")
        if fate == "refused":
            return nullcontext(Answer(503, {}, b""))
        number, message = headers["webhook-id"], orjson.loads(data)
        self.repeated += number in self.messages
        assert self.messages.setdefault(number, message) == message, f"{number} has changed"
        if fate == "lost":
            raise requests.ReadTimeout("the answer was lost")
        return nullcontext(Answer(200, {}, b""))
