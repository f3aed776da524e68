"""Calls of the sandbox's control interface."""

from typing import Any

import requests

from gateway.sandbox import Sandbox
from tests.support.stripe_account import Json


def ask_for(sandbox: Sandbox, **fault: Any) -> Json:
    answer = requests.post(f"{sandbox.url}/_sandbox/faults", json=fault, timeout=5)
    assert answer.status_code == 201, answer.text
    return answer.json()  # type: ignore[no-any-return]  # JSON


def listed(sandbox: Sandbox) -> list[Json]:
    return requests.get(f"{sandbox.url}/_sandbox/faults", timeout=5).json()["faults"]  # type: ignore[no-any-return]  # JSON


def clear(sandbox: Sandbox) -> None:
    assert requests.delete(f"{sandbox.url}/_sandbox/faults", timeout=5).status_code == 200


def resend(sandbox: Sandbox, event: str) -> Json:
    answer = requests.post(f"{sandbox.url}/_sandbox/events/{event}/resend", timeout=5)
    assert answer.status_code == 200, answer.text
    return answer.json()  # type: ignore[no-any-return]  # JSON
