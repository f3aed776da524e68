"""Calls to the sandbox's control interface, which injects faults."""

from typing import Any

import requests

from gateway.services.runtime import Gateway
from tests.support.json_types import Json


def request_fault(url: str, **fault: Any) -> Json:
    answer = requests.post(f"{url}/_sandbox/faults", json=fault, timeout=10)
    assert answer.status_code == 201, answer.text
    return answer.json()  # type: ignore[no-any-return]  # JSON


def list_faults(url: str) -> list[Json]:
    answer = requests.get(f"{url}/_sandbox/faults", timeout=10)
    assert answer.status_code == 200, answer.text
    return answer.json()["faults"]  # type: ignore[no-any-return]  # JSON


def end_faults(url: str) -> None:
    assert requests.delete(f"{url}/_sandbox/faults", timeout=10).status_code == 200


def resend(url: str, event: str) -> Json:
    answer = requests.post(f"{url}/_sandbox/events/{event}/resend", timeout=10)
    assert answer.status_code == 200, answer.text
    return answer.json()  # type: ignore[no-any-return]  # JSON


class SandboxFaults:
    """Controls the faults of the sandbox that ``gateway`` talks to."""

    gateway: Gateway

    @property
    def _sandbox_url(self) -> str:
        url = self.gateway.config.stripe_api_base
        assert url is not None
        return url

    def fault(self, kind: str, **fields: Any) -> None:
        """Add a fault. The sandbox's README lists the kinds."""
        request_fault(self._sandbox_url, kind=kind, **fields)

    def set_at_stripe(self, **settings: Any) -> None:
        """Change settings of the account. The sandbox's README lists them."""
        answer = requests.post(f"{self._sandbox_url}/_sandbox/settings", json=settings, timeout=10)
        assert answer.status_code == 200, answer.text

    def faults(self) -> list[Json]:
        """Return the faults that were added and how often each has fired."""
        return list_faults(self._sandbox_url)

    def end_faults(self) -> None:
        """Remove all faults. Requests and webhooks that they delayed then continue."""
        end_faults(self._sandbox_url)
