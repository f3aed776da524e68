"""The Stripe client, and what its failures mean for the one who called."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any, Final, Protocol

import orjson
import stripe
from requests.structures import CaseInsensitiveDict
from stripe import RequestsClient, StripeClient
from stripe._base_address import BaseAddresses  # not exported, and the parameter's only type

from gateway.errors import (
    BillingDetailsRefused,
    CardDeclined,
    NotFound,
    PaymentMethodRequired,
    StripeRejected,
    StripeUnavailable,
)

API_VERSION: Final = "2026-10-28.endive"  # the version that the pinned SDK and our webhook endpoint speak
CONNECT_TIMEOUT, READ_TIMEOUT = 3, 20  # seconds; the SDK's own 80 would outlive every caller's patience
MAX_NETWORK_RETRIES = 1  # a StripeClient retries nothing unless told; the idempotency key is the same for both tries

TOOK: Final = "Gateway-Took"  # a header that we add to each answer: seconds from the request to the answer

# The SDK would otherwise write a file below the home directory, which a container may not have.
stripe.enable_telemetry = False


class Meter(Protocol):
    """What is asked before each call, and told after a 429 (which the SDK itself does not retry)."""

    def acquire(self) -> None:
        """Wait until a call may be made."""

    def limited(self, tries: int) -> bool:
        """Stripe refused the call, for the ``tries``-th time; whether to make it again."""


class MeteredClient(RequestsClient):
    """The SDK's HTTP client, metered: the one place that every call goes through, pages and retries included."""

    def __init__(self, meter: Meter | None) -> None:
        super().__init__(timeout=(CONNECT_TIMEOUT, READ_TIMEOUT))
        self._meter = meter

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        post_data: Any = None,
        *,
        _usage: list[str] | None = None,  # of telemetry, which is off
    ) -> tuple[Any, int, Mapping[str, str]]:
        """Make the call once it may be made; again, if it was refused for its number and the meter says so."""
        if self._meter is None:
            return self._timed(method, url, headers, post_data)
        tries = 0
        while True:
            self._meter.acquire()
            answer = self._timed(method, url, headers, post_data)
            tries += 1
            if answer[1] != HTTPStatus.TOO_MANY_REQUESTS or not self._meter.limited(tries):
                return answer

    def _timed(
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any
    ) -> tuple[Any, int, Mapping[str, str]]:
        """Make the call, and note with the answer how long it took.

        Raises APIError for a success that is nothing of Stripe's, such as a proxy's: whatever was read out of it would
        be missing.
        """
        started = time.monotonic()
        body, status, answered = super().request(method, url, headers, post_data)
        took = time.monotonic() - started
        if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES and not is_of_stripes_shape(body):
            raise stripe.APIError("not an answer of Stripe's", http_status=status)
        return body, status, CaseInsensitiveDict({**answered, TOOK: f"{took:.3f}"})


def is_of_stripes_shape(body: bytes | str) -> bool:
    """Whether it is an object that says of which type, and a list has what a list has."""
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        return True  # the SDK refuses it itself, but for lone surrogates, which it reads
    if not isinstance(answer, dict) or not isinstance(answer.get("object"), str):
        return False
    return answer["object"] != "list" or (isinstance(answer.get("data"), list) and "has_more" in answer)


def stripe_client(secret_key: str, api_base: str | None = None, meter: Meter | None = None) -> StripeClient:
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
        http_client=MeteredClient(meter),
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
        if lacks_a_card(error):
            raise PaymentMethodRequired("Add billing details first: there is no card on file.") from error
        if error.code == "resource_missing":
            raise NotFound(error.user_message or "Stripe knows no such object.") from error
        raise StripeRejected(error.user_message or "Stripe refused the request.") from error
    except (stripe.IdempotencyError, stripe.AuthenticationError, stripe.PermissionError) as error:
        raise StripeRejected("Stripe refused the gateway's request.") from error
    except stripe.StripeError as error:
        raise StripeUnavailable("Stripe did not answer in time; please try again.") from error


def lacks_a_card(error: stripe.InvalidRequestError) -> bool:
    """Whether what is missing is the customer's means of payment: no parameter names it, and so it is no 404."""
    named = error.param is not None or error.http_status == HTTPStatus.NOT_FOUND
    return error.code == "resource_missing" and not named


@contextmanager
def stripe_call_with_input(field: str | None = None) -> Iterator[None]:
    """The same for a call that carries what a person typed: what Stripe refuses of it is the person's to mend.

    Raises BillingDetailsRefused, which names ``field``, or else the parameter that Stripe names.
    """
    try:
        with stripe_call():
            yield
    except StripeRejected as error:
        cause = error.__cause__
        if not isinstance(cause, stripe.InvalidRequestError):
            raise
        wrong = field or (cause.param or "").partition("[")[0]
        errors = {wrong: [error.detail]} if wrong else {}
        raise BillingDetailsRefused(error.detail, errors=errors, stripe_code=cause.code) from cause


def needs_action(error: CardDeclined) -> bool:
    """Whether the card was not refused: its holder must approve the payment of the invoice first (3-D Secure)."""
    cause = error.__cause__
    return isinstance(cause, stripe.CardError) and cause.code == "invoice_payment_intent_requires_action"


def nothing_upcoming(error: StripeRejected) -> bool:
    """Whether the refused call was for the next invoice of a subscription that will have none."""
    cause = error.__cause__
    return isinstance(cause, stripe.InvalidRequestError) and cause.code == "invoice_upcoming_none"


def outside_period(error: StripeRejected) -> bool:
    """Whether the second from which to prorate is not in the subscription's period, which has ended meanwhile."""
    cause = error.__cause__
    return isinstance(cause, stripe.InvalidRequestError) and "proration_date" in (cause.param or "")


def key_refused(error: StripeRejected) -> bool:
    """Whether the key was refused, not the request: it was revoked or rolled, or may not do this. The next may."""
    return isinstance(error.__cause__, stripe.AuthenticationError | stripe.PermissionError)


def kept_failure(error: StripeUnavailable) -> bool:
    """Whether Stripe answered 5xx out of its memory: what the call did is done, and its key is of no use for a day."""
    cause = error.__cause__
    if not answered_failure(error) or not isinstance(cause, stripe.StripeError):
        return False
    return CaseInsensitiveDict(cause.headers or {}).get("Idempotent-Replayed") == "true"


def answered_failure(error: StripeUnavailable) -> bool:
    """Whether Stripe answered 5xx: under that idempotency key it will say so again for a day."""
    cause = error.__cause__
    return isinstance(cause, stripe.StripeError) and (cause.http_status or 0) >= HTTPStatus.INTERNAL_SERVER_ERROR
