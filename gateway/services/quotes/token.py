"""The token of a quote. It is signed, expires, and buys exactly one change at one price."""

import hashlib
import hmac
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

import jwt

from gateway.config import Config
from gateway.errors import InvalidRequest, NotFound, QuoteExpired, QuoteStale
from gateway.services.runtime import Caller
from gateway.services.subscription.billing_state import BillingState
from gateway.stripe_api.times import from_unix

ALGORITHM, AUDIENCE = "HS256", "quote"


@dataclass(frozen=True, kw_only=True)
class Terms:
    """The terms in a token: the organization, the version of its subscription, the change, and what it costs."""

    organization_id: str
    subscription_version: str
    price_id: str
    plan: str
    quantity: int
    interval: str
    """The interval that the change moves to. Empty if it keeps the present one."""
    proration_date: int
    amount_due_now: int
    prorated: int
    """What the change itself costs, credits included. It is the sum of the lines that begin at ``proration_date``."""
    currency: str

    def check(self, caller: Caller, billing: BillingState, price_id: str, plan: str, quantity: int) -> None:
        """Raise NotFound if the token belongs to another organization.

        Raise QuoteStale if the token is for another change, or if the subscription or the price has changed since.
        """
        if self.organization_id != caller.organization_id:
            raise NotFound("There is no such quote.")
        if (self.plan, self.quantity) != (plan, quantity):
            raise QuoteStale("The quote is for another plan or quantity.")
        if (self.subscription_version, self.price_id) != (billing.subscription_version, price_id):
            raise QuoteStale("The subscription or the price has changed since the quote was made.")


TERMS_TYPES = {field.name: field.type for field in fields(Terms)}


def sign_token(config: Config, terms: Terms, expires_at: datetime) -> str:
    """Return the signed token of a quote."""
    claims = {"aud": AUDIENCE, "exp": expires_at, "terms": vars(terms)}
    return jwt.encode(claims, derive_signing_key(config), ALGORITHM)


def refuse_foreign_token(config: Config, caller: Caller, token: str) -> None:
    """Raise NotFound if the token is another organization's, even if it has expired. Raise InvalidRequest."""
    said, _ = decode_token(config, token)
    if said.get("organization_id", caller.organization_id) != caller.organization_id:
        raise NotFound("There is no such quote.")


def read_token(config: Config, token: str, now: datetime) -> Terms:
    """Return the terms of a token that this gateway signed.

    Raise InvalidRequest if the signature does not hold. Raise QuoteExpired if the token has expired, or if another
    release with other terms signed it.
    """
    said, expires_at = decode_token(config, token)
    if expires_at <= now or {name: type(value) for name, value in said.items()} != TERMS_TYPES:
        raise QuoteExpired("The quote has expired. Please look at the new one.")
    return Terms(**said)


def decode_token(config: Config, token: str) -> tuple[dict[str, Any], datetime]:
    """Return the terms of a token as its release wrote them, and its expiry. Raise InvalidRequest.

    Accept an expired token. The caller compares the expiry with its own clock.
    """
    options: jwt.types.Options = {"require": ["exp"], "verify_exp": False}
    try:
        claims = jwt.decode(token, derive_signing_key(config), [ALGORITHM], audience=AUDIENCE, options=options)
    except jwt.InvalidTokenError as error:
        raise InvalidRequest("The gateway did not issue this quote.", errors={"quote": ["Not valid."]}) from error
    said = claims.get("terms")
    return said if isinstance(said, dict) else {}, from_unix(claims["exp"])


def derive_signing_key(config: Config) -> bytes:
    """Derive the key for quotes from the one secret that every process has."""
    return hmac.digest(config.stripe_secret_key.encode(), b"konnect quote token", hashlib.sha256)
