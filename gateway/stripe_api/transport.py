"""What the SDK's HTTP client needs of a ``requests.Session``, without the work that a session does for each call.

A session merges settings, cookies, hooks and redirects, which Stripe does not use. That takes nearly as long as to send
the request and to read its response.
"""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, Final, NamedTuple

import requests
import stripe
from requests.adapters import HTTPAdapter
from urllib3 import PoolManager, Timeout, exceptions, make_headers

from gateway.stripe_api.prompt_http import POOLS

HEADERS: Final = make_headers(keep_alive=True, accept_encoding=True)


class Response(NamedTuple):
    """A response, with the names of requests."""

    status_code: int
    headers: Mapping[str, str]
    content: bytes


class Transport:
    """The connections of one thread. ``choose_timeout`` is called for each attempt."""

    def __init__(self, proxy: str | None, choose_timeout: Callable[[], Timeout]) -> None:
        self._proxy = proxy
        self._choose_timeout = choose_timeout

    def request(self, method: str, url: str, *, headers: Mapping[str, str], data: Any, **_options: object) -> Response:
        """Send a request. Raise the errors of requests, which the SDK translates. A redirect is not followed."""
        try:
            answer = self._connections.urlopen(
                method.upper(),
                url,
                body=data,
                headers={**HEADERS, **headers},
                redirect=False,
                retries=False,
                timeout=self._choose_timeout(),
            )
        except exceptions.SSLError as error:
            raise requests.exceptions.SSLError(error) from error
        except (exceptions.NewConnectionError, exceptions.ProtocolError, exceptions.ProxyError) as error:
            raise requests.ConnectionError(error) from error
        except exceptions.TimeoutError as error:  # a NewConnectionError is one too
            raise requests.Timeout(error) from error
        return Response(answer.status, answer.headers, answer.data)

    def close(self) -> None:
        """Close the connections."""
        self._connections.clear()

    @cached_property
    def _connections(self) -> PoolManager:
        trusted: dict[str, Any] = {"cert_reqs": "CERT_REQUIRED", "ca_certs": stripe.ca_bundle_path}
        if self._proxy is not None:
            proxied: PoolManager = HTTPAdapter().proxy_manager_for(self._proxy, **trusted)
            return proxied
        manager = PoolManager(**trusted)
        manager.pool_classes_by_scheme = POOLS
        return manager
