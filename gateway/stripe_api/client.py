"""The Stripe client, and what its failures mean for the one who called."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import stripe
from stripe import RequestsClient, StripeClient
from stripe._base_address import BaseAddresses  # not exported, and the parameter's only type

from gateway.errors import CardDeclined, NotFound, StripeRejected, StripeUnavailable

API_VERSION: Final = "2026-10-28.endive"  # the version that the pinned SDK and our webhook endpoint speak
CONNECT_TIMEOUT, READ_TIMEOUT = 3, 20  # seconds; the SDK's own 80 would outlive every caller's patience
MAX_NETWORK_RETRIES = 1  # a StripeClient retries nothing unless told; the idempotency key is the same for both tries

# The SDK would otherwise write a file below the home directory, which a container may not have.
stripe.enable_telemetry = False


def stripe_client(secret_key: str, api_base: str | None = None) -> StripeClient:
    """A client for one process; threads share it (it keeps one connection a thread).

    ``api_base`` replaces all of Stripe's hosts, for the sandbox.
    """
    addresses: BaseAddresses = {}
    if api_base is not None:
        addresses = {"api": api_base, "connect": api_base, "files": api_base, "meter_events": api_base}
    return StripeClient(
        secret_key,
        base_addresses=addresses,
        max_network_retries=MAX_NETWORK_RETRIES,
        http_client=RequestsClient(timeout=(CONNECT_TIMEOUT, READ_TIMEOUT)),
    )


@contextmanager
def stripe_call() -> Iterator[None]:
    """Translate Stripe's errors into ours.

    StripeUnavailable means that the outcome is unknown (timeout, 409, 429, 5xx); the others that Stripe did not do it.
    """
    try:
        yield
    except stripe.CardError as error:
        raise CardDeclined(error.user_message or "The card was declined.") from error
    except stripe.InvalidRequestError as error:
        if error.code == "resource_missing":
            raise NotFound(error.user_message or "Stripe knows no such object.") from error
        raise StripeRejected(error.user_message or "Stripe refused the request.") from error
    except (stripe.IdempotencyError, stripe.AuthenticationError, stripe.PermissionError) as error:
        raise StripeRejected("Stripe refused the gateway's request.") from error
    except stripe.StripeError as error:
        raise StripeUnavailable("Stripe did not answer in time; please try again.") from error
