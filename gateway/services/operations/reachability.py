"""Say in plain words why Stripe or the identity provider's key server cannot be used, and what to do."""

import socket
import ssl
from collections.abc import Iterator
from urllib.error import URLError

import requests
import stripe

from gateway.auth import fetch_keys
from gateway.config import Config
from gateway.errors import GatewayError, IdentityUnavailable
from gateway.services.operations.findings import Finding

TIMEOUT = 5  # seconds


def explain_stripe(error: GatewayError) -> str:
    """Return why a call to Stripe failed."""
    cause = error.__cause__
    if isinstance(cause, stripe.AuthenticationError):
        return "it does not accept the key. Set STRIPE_SECRET_KEY to a current key of this account and mode"
    if isinstance(cause, stripe.PermissionError):
        return "the key lacks a permission. Give the restricted key those that docs/going-live.md lists"
    if isinstance(cause, stripe.APIConnectionError):
        return explain_outage(cause)
    return f"{error.detail} ({type(cause).__name__}). Look at Stripe's status page"


def check_key_server(config: Config) -> Finding:
    """Check that the identity provider publishes keys. Without them, no token can be verified."""
    if config.jwks_url is None:
        return Finding(ok=True, text="key server: not used, because tokens are for development")
    try:
        keys = fetch_keys(config.jwks_url, TIMEOUT)
    except IdentityUnavailable as error:
        return Finding(ok=False, text=f"key server: {explain_outage(error)} (GATEWAY_JWKS_URL)")
    return Finding(ok=True, text=f"key server: publishes {len(keys)} keys")


def explain_outage(error: BaseException) -> str:
    """Return what a failed call met: no answer in time, a refusal, an unknown name, or another answer than expected."""
    chain = list(list_causes(error))
    for kinds, text in (
        ((TimeoutError, requests.Timeout), "it did not answer in time. Check the network and the firewall"),
        ((ConnectionRefusedError,), "it refused the connection. Check its address, and that it runs"),
        ((socket.gaierror,), "its name is not known. Check the address and the name server"),
        ((ssl.SSLError,), "its certificate is not trusted. Check the address and the installed certificates"),
    ):
        if any(isinstance(each, kinds) for each in chain):
            return text
    return f"it gave an answer that cannot be used. Check its address ({type(chain[-1]).__name__})"


def list_causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and all errors that led to it."""
    while error is not None:
        yield error
        reason = error.reason if isinstance(error, URLError) else None
        error = reason if isinstance(reason, BaseException) else error.__cause__ or error.__context__
