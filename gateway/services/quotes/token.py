"""The token of a quote: signed, expiring, and good for one change at one price only."""

import hashlib
import hmac
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

import jwt

from gateway.config import Config
from gateway.errors import InvalidRequest, NotFound, QuoteExpired, QuoteStale
from gateway.services.runtime import Caller
from gateway.services.subscription.billing_state import Position
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

    def check(self, caller: Caller, position: Position, price_id: str, plan: str, quantity: int) -> None:
        """Raise NotFound if the token is another organization's, or QuoteStale if it is for another change."""
        if self.organization_id != caller.organization_id:
            raise NotFound("There is no such quote.")
        if (self.plan, self.quantity) != (plan, quantity):
            raise QuoteStale("The quote is for another plan or quantity.")
        if (self.subscription_version, self.price_id) != (position.version, price_id):
            raise QuoteStale("The subscription or the price has changed since the quote was made.")


SHAPE = {field.name: field.type for field in fields(Terms)}


def sign(config: Config, terms: Terms, expires_at: datetime) -> str:
    """The token of a quote."""
    claims = {"aud": AUDIENCE, "exp": expires_at, "terms": vars(terms)}
    return jwt.encode(claims, signing_key(config), ALGORITHM)


def refuse_foreign_token(config: Config, caller: Caller, token: str) -> None:
    """Raise NotFound if the token is another organization's, even if it has expired. Raise InvalidRequest."""
    said, _ = decode(config, token)
    if said.get("organization_id", caller.organization_id) != caller.organization_id:
        raise NotFound("There is no such quote.")


def read_token(config: Config, token: str, now: datetime) -> Terms:
    """What a token of ours says. Raises InvalidRequest, and QuoteExpired: also of a release that had other terms."""
    said, expires_at = decode(config, token)
    if expires_at <= now or {name: type(value) for name, value in said.items()} != SHAPE:
        raise QuoteExpired("The quote has expired: please look at the new one.")
    return Terms(**said)


def decode(config: Config, token: str) -> tuple[dict[str, Any], datetime]:
    """The terms of a token of ours, as whatever release put them, and until when it is good, by whose clock ever.

    Raises InvalidRequest.
    """
    options: jwt.types.Options = {"require": ["exp"], "verify_exp": False}
    try:
        claims = jwt.decode(token, signing_key(config), [ALGORITHM], audience=AUDIENCE, options=options)
    except jwt.InvalidTokenError as error:
        raise InvalidRequest("The quote is not one of ours.", errors={"quote": ["Not valid."]}) from error
    said = claims.get("terms")
    return said if isinstance(said, dict) else {}, from_unix(claims["exp"])


def signing_key(config: Config) -> bytes:
    """A key of its own for quotes, derived from the one secret that every process has."""
    return hmac.digest(config.stripe_secret_key.encode(), b"konnect quote token", hashlib.sha256)
