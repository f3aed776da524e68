"""Faults of the sandbox, and a test's actions before the sandbox handles a request."""

from collections.abc import Callable, Iterable
from typing import Any

import requests

from gateway.sandbox import Sandbox
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


def before_each_request(sandbox: Sandbox, act: Callable[[str], object]) -> None:
    """Call ``act`` with the method and the path of each request to Stripe before the sandbox handles it."""
    handle = sandbox.app.wsgi_app

    def act_first(environ: Any, start_response: Any) -> Iterable[bytes]:
        act(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}")
        return handle(environ, start_response)

    sandbox.app.wsgi_app = act_first  # type: ignore[method-assign]  # Flask's documented way to replace the application


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

    def spoil_key(self) -> None:
        """Let the gateway send an API key that Stripe refuses."""
        self.gateway.stripe._requestor._options.api_key = "wrong"  # noqa: SLF001 - the SDK has no other way to change it

    def end_faults(self) -> None:
        """Remove all faults. Requests and webhooks that they delayed then continue."""
        end_faults(self._sandbox_url)
