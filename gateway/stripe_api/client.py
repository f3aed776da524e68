"""The Stripe client, and the translation of Stripe's errors into ours."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import orjson
import stripe
import structlog
from requests.structures import CaseInsensitiveDict
from requests.utils import get_environ_proxies, select_proxy
from stripe import RequestsClient, StripeClient
from stripe._base_address import BaseAddresses  # not exported, and the parameter's only type
from urllib3 import Timeout

from gateway import telemetry
from gateway.errors import (
    BillingAddressRequired,
    BillingDetailsRefused,
    CardDeclined,
    NotFound,
    PaymentMethodRequired,
    StripeRejected,
    StripeUnavailable,
)
from gateway.stripe_api.gate import CONNECT_TIMEOUT, READ_TIMEOUT, Gate
from gateway.stripe_api.transport import Transport

API_VERSION: Final = "2026-10-28.endive"  # the version that the pinned SDK and our webhook endpoint speak
STRIPE: Final = "https://api.stripe.com"
NEEDS_ADDRESS: Final = "The taxes depend on the billing address. Please add it first."
MAX_NETWORK_RETRIES = 1  # a StripeClient's default is 0. Both attempts carry the same idempotency key.

TOOK: Final = "Gateway-Took"  # a header that we add to each response: the seconds that the call took

log = structlog.get_logger()

# With telemetry, the SDK writes a file below the home directory. A container may have no home directory.
stripe.enable_telemetry = False


class Meter(Protocol):
    """Limits our calls. The client consults it before each call and after each 429, which the SDK does not retry."""

    def acquire(self) -> None:
        """Wait until the client may make a call."""

    def limited(self, tries: int) -> bool:
        """Record that Stripe answered 429 for the ``tries``-th time, and return whether to retry the call."""


class MeteredClient(RequestsClient):
    """The SDK's HTTP client with a gate and a meter. Every call passes through it, including pages and retries.

    It uses the proxy that the environment names for ``url``, as it was when the client was made.
    """

    def __init__(self, meter: Meter | None, gate: Gate | None = None, *, url: str = STRIPE) -> None:
        super().__init__()
        self._proxy_url = select_proxy(url, get_environ_proxies(url))
        self._meter = meter
        self._gate = gate

    def request_with_retries(self, *args: Any, **kwargs: Any) -> tuple[Any, int, Mapping[str, str]]:
        """Make a call, as the SDK asks for it. Raise StripeNotCalled if the gate refuses it."""
        if getattr(self._thread_local, "session", None) is None:
            self._thread_local.session = Transport(self._proxy_url, self._choose_timeout)
        if self._gate is not None:
            self._gate.begin_call()
        return super().request_with_retries(*args, **kwargs)

    def _choose_timeout(self) -> Timeout:
        """Return the time that the gate allows for an attempt that begins now."""
        total = self._gate.longest_attempt() if self._gate is not None else None
        return Timeout(connect=CONNECT_TIMEOUT, read=READ_TIMEOUT, total=total)

    def _should_retry(self, *args: Any) -> bool:
        """Return False if no time is left, because the retry could not answer the caller in time either."""
        return bool(super()._should_retry(*args)) and (self._gate is None or self._gate.has_time_to_retry())

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        post_data: Any = None,
        *,
        _usage: list[str] | None = None,  # for telemetry, which is off
    ) -> tuple[Any, int, Mapping[str, str]]:
        """Make the call when the meter allows it, and retry after a 429 if the meter says so."""
        if self._meter is None:
            return self._attempt(method, url, headers, post_data)
        tries = 0
        while True:
            self._meter.acquire()
            answer = self._attempt(method, url, headers, post_data)
            tries += 1
            if answer[1] != HTTPStatus.TOO_MANY_REQUESTS or not self._meter.limited(tries):
                return answer

    def _attempt(
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any
    ) -> tuple[Any, int, Mapping[str, str]]:
        """Make one attempt if the gate lets it pass."""
        if self._gate is None:
            return self._timed(method, url, headers, post_data)
        with self._gate.attempt() as note_status:
            answer = self._timed(method, url, headers, post_data)
            note_status(answer[1])
        return answer

    def _timed(
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any
    ) -> tuple[Any, int, Mapping[str, str]]:
        """Make the call, log it, and add a header with its duration to the response.

        The log leaves out the query, which may hold an e-mail address.

        Raise APIError for a 2xx response that does not come from Stripe, such as a proxy's page. Its fields would be
        missing later, where the cause is hard to see.
        """
        started = time.monotonic()
        status, answer_headers = None, CaseInsensitiveDict[str]()
        about = {"method": method, "path": urlsplit(url).path}
        with telemetry.span("stripe_call", **about) as note:
            try:
                body, status, response_headers = super().request(method, url, headers, post_data)
                answer_headers.update(response_headers)
            finally:
                took = time.monotonic() - started
                # The status is None if Stripe did not answer.
                answer = {"status": status, "stripe_request_id": answer_headers.get("Request-Id")}
                log.info("stripe_call", **about, ms=round(took * 1000, 1), **answer)
                note(**answer)
        if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES and not has_stripe_shape(body):
            raise stripe.APIError("the response does not come from Stripe", http_status=status)
        answer_headers[TOOK] = f"{took:.3f}"
        return body, status, answer_headers


def has_stripe_shape(body: bytes | str) -> bool:
    """Return whether ``body`` is an object that names its type and, if it is a list, has a list's fields."""
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        return True  # the SDK reads a lone surrogate, and refuses all other invalid JSON itself
    if not isinstance(answer, dict) or not isinstance(answer.get("object"), str):
        return False
    return answer["object"] != "list" or (isinstance(answer.get("data"), list) and "has_more" in answer)


def stripe_client(
    secret_key: str, api_base: str | None = None, meter: Meter | None = None, gate: Gate | None = None
) -> StripeClient:
    """Return a client for one process. Its threads share it, and it keeps one connection per thread.

    ``api_base`` replaces all of Stripe's hosts, for the sandbox.
    """
    addresses: BaseAddresses = {}
    if api_base is not None:
        addresses = {"api": api_base, "connect": api_base, "files": api_base, "meter_events": api_base}
    return StripeClient(
        secret_key,
        base_addresses=addresses,
        max_network_retries=MAX_NETWORK_RETRIES,
        http_client=MeteredClient(meter, gate, url=api_base or STRIPE),
    )


@contextmanager
def stripe_call() -> Iterator[None]:
    """Translate Stripe's errors into ours.

    StripeUnavailable means that the outcome is unknown (timeout, 409, 429, 5xx). Every other error means that Stripe
    did nothing, and so does its subclass StripeNotCalled, which the gate raises before a call.
    """
    try:
        yield
    except stripe.CardError as error:
        raise CardDeclined(error.user_message or "The card was declined.") from error
    except stripe.InvalidRequestError as error:
        if is_missing_card(error):
            raise PaymentMethodRequired("There is no payment method on file. Add billing details first.") from error
        if error.code == "customer_tax_location_invalid":
            raise BillingAddressRequired(NEEDS_ADDRESS) from error
        if error.code == "resource_missing":
            raise NotFound(error.user_message or "Stripe has no such object.") from error
        raise StripeRejected(error.user_message or "Stripe refused the request.") from error
    except (stripe.IdempotencyError, stripe.AuthenticationError, stripe.PermissionError) as error:
        raise StripeRejected("Stripe refused the gateway's request.") from error
    except stripe.StripeError as error:
        raise StripeUnavailable("Stripe did not answer in time. Please try again.") from error


def is_missing_card(error: stripe.InvalidRequestError) -> bool:
    """Return whether the customer has no payment method to charge.

    Stripe answers ``resource_missing`` then too. But no parameter names the missing object, and the status is not 404.
    """
    named = error.param is not None or error.http_status == HTTPStatus.NOT_FOUND
    return error.code == "resource_missing" and not named


@contextmanager
def stripe_call_with_input(field: str | None = None) -> Iterator[None]:
    """Translate Stripe's errors for a call that carries a person's input, which the person can correct.

    Raise BillingDetailsRefused if Stripe refuses the input. That error names ``field``, or else the parameter that
    Stripe names. Other errors are those of ``stripe_call``.
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


def refuses(error: NotFound | StripeRejected, parameter: str) -> bool:
    """Return whether Stripe refused the call because of ``parameter``."""
    cause = error.__cause__
    return isinstance(cause, stripe.InvalidRequestError) and cause.param == parameter


def needs_action(error: CardDeclined) -> bool:
    """Return whether the cardholder must first approve the payment (3-D Secure). The bank has not refused the card."""
    cause = error.__cause__
    return isinstance(cause, stripe.CardError) and (cause.code or "").endswith("_payment_intent_requires_action")


def is_nothing_upcoming(error: StripeRejected) -> bool:
    """Return whether Stripe refused to preview the next invoice because the subscription will have none."""
    cause = error.__cause__
    return isinstance(cause, stripe.InvalidRequestError) and cause.code == "invoice_upcoming_none"


def is_outside_period(error: StripeRejected) -> bool:
    """Return whether Stripe refused the proration date because the subscription's period has ended since."""
    cause = error.__cause__
    return isinstance(cause, stripe.InvalidRequestError) and "proration_date" in (cause.param or "")


def is_key_refused(error: StripeRejected) -> bool:
    """Return whether Stripe refused our API key and not the request.

    The key was revoked or rolled, or lacks a permission. The same request may succeed with another key.
    """
    return isinstance(error.__cause__, stripe.AuthenticationError | stripe.PermissionError)


def is_kept_failure(error: StripeUnavailable) -> bool:
    """Return whether Stripe replayed a 5xx that it had stored for the idempotency key.

    The effects of the first call stand. The idempotency key gives the same answer for a day, so it is useless.
    """
    cause = error.__cause__
    if not is_answered_failure(error) or not isinstance(cause, stripe.StripeError):
        return False
    return CaseInsensitiveDict(cause.headers or {}).get("Idempotent-Replayed") == "true"


def is_key_spent(error: StripeRejected | StripeUnavailable) -> bool:
    """Return whether Stripe replayed the stored answer of an earlier call, or refused its key for other parameters."""
    cause = error.__cause__
    if isinstance(cause, stripe.IdempotencyError):
        return True
    headers = cause.headers if isinstance(cause, stripe.StripeError) else None
    return CaseInsensitiveDict(headers or {}).get("Idempotent-Replayed") == "true"


def is_answered_failure(error: StripeUnavailable) -> bool:
    """Return whether Stripe answered 5xx. It repeats that answer for the same idempotency key for a day."""
    cause = error.__cause__
    return isinstance(cause, stripe.StripeError) and (cause.http_status or 0) >= HTTPStatus.INTERNAL_SERVER_ERROR
