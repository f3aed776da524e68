"""The token of a quote: signed, expiring, and good for one change at one price only."""

import hashlib
import hmac
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

import jwt

from gateway.config import Config
from gateway.errors import InvalidRequest, QuoteExpired, QuoteStale
from gateway.services.runtime import Caller
from gateway.services.subscription.billing_state import BillingState
from gateway.stripe_api.times import from_unix

ALGORITHM, AUDIENCE = "HS256", "quote"


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What a token says: valid for this organization, this state of its subscription, and this change."""

    organization_id: str
    subscription_version: str
    price_id: str
    plan: str
    quantity: int
    proration_date: int
    amount_due_now: int
    prorated: int
    """What the change itself costs, credits included: the lines that begin at ``proration_date``."""
    currency: str

    def check(self, caller: Caller, billing: BillingState, price_id: str, plan: str, quantity: int) -> None:
        """Raises InvalidRequest if the token is another's, QuoteStale if it is for anything but this."""
        if self.organization_id != caller.organization_id:
            raise InvalidRequest("The quote is not one of yours.", errors={"quote": ["Not valid."]})
        if (self.plan, self.quantity) != (plan, quantity):
            raise QuoteStale("The quote is for another plan or quantity.")
        if (self.subscription_version, self.price_id) != (billing.subscription_version, price_id):
            raise QuoteStale("The subscription or the price has changed since the quote was made.")


TERMS_TYPES = {field.name: field.type for field in fields(Terms)}


def sign_token(config: Config, terms: Terms, expires_at: datetime) -> str:
    """The token of a quote."""
    claims = {"aud": AUDIENCE, "exp": expires_at, "terms": vars(terms)}
    return jwt.encode(claims, derive_signing_key(config), ALGORITHM)


def read_token(config: Config, token: str, now: datetime) -> Terms:
    """What a token of ours says. Raises InvalidRequest, and QuoteExpired: also of a release that had other terms."""
    said, expires_at = decode_token(config, token)
    if expires_at <= now or {name: type(value) for name, value in said.items()} != TERMS_TYPES:
        raise QuoteExpired("The quote has expired: please look at the new one.")
    return Terms(**said)


def decode_token(config: Config, token: str) -> tuple[dict[str, Any], datetime]:
    """The terms of a token of ours, as whatever release put them, and until when it is good, by whose clock ever.

    Raises InvalidRequest.
    """
    options: jwt.types.Options = {"require": ["exp"], "verify_exp": False}
    try:
        claims = jwt.decode(token, derive_signing_key(config), [ALGORITHM], audience=AUDIENCE, options=options)
    except jwt.InvalidTokenError as error:
        raise InvalidRequest("The quote is not one of ours.", errors={"quote": ["Not valid."]}) from error
    said = claims.get("terms")
    return said if isinstance(said, dict) else {}, from_unix(claims["exp"])


def derive_signing_key(config: Config) -> bytes:
    """A key of its own for quotes, derived from the one secret that every process has."""
    return hmac.digest(config.stripe_secret_key.encode(), b"konnect quote token", hashlib.sha256)
