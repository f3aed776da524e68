"""Quotes: what a change would cost, computed by Stripe for one second, and a token that buys exactly that."""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import jwt

from gateway.config import QUOTE_LIFETIME, Config
from gateway.errors import InvalidRequest, NotEnrolled, QuoteExpired, QuoteStale
from gateway.services import policy
from gateway.services.catalog import price_of
from gateway.services.context import Caller, Gateway
from gateway.services.plan_details import Period
from gateway.services.positions import PRORATION_BEHAVIOR, Position, position_of
from gateway.stripe_api.client import stripe_call
from gateway.stripe_api.times import from_unix, to_unix

ALGORITHM, AUDIENCE = "HS256", "quote"


@dataclass(frozen=True, kw_only=True)
class QuoteLine:
    """One line as Stripe words it; ``amount`` in minor units, negative for a credit."""

    description: str | None
    amount: int
    currency: str
    period: Period
    proration: bool


@dataclass(frozen=True, kw_only=True)
class Quote:
    """What the change costs if it is confirmed with ``token`` before ``expires_at``."""

    token: str
    expires_at: datetime
    proration_date: datetime
    plan: str
    quantity: int
    currency: str
    lines: list[QuoteLine]
    amount_due_now: int
    amount_due_on_billing_date: int
    billing_date: datetime


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What a token says: valid for this organization, this state of its subscription, and this change."""

    organization_id: str
    subscription_version: str
    price_id: str
    plan: str
    quantity: int
    proration_date: int

    def check(self, caller: Caller, position: Position, price_id: str, plan: str, quantity: int) -> None:
        """Raises QuoteStale if the token is for anything but this."""
        if self.organization_id != caller.organization_id:
            raise InvalidRequest("The quote is not one of yours.", errors={"quote": ["Not valid."]})
        if (self.plan, self.quantity) != (plan, quantity):
            raise QuoteStale("The quote is for another plan or quantity.")
        if (self.subscription_version, self.price_id) != (position.version, price_id):
            raise QuoteStale("The subscription or the price has changed since the quote was made.")


def preview(gateway: Gateway, caller: Caller, plan: str | None, quantity: int | None) -> Quote:
    """Ask Stripe what moving to ``quantity`` units of ``plan`` costs from this second on.

    Raises NotEnrolled, and what ``policy.check`` raises; a card is not needed to ask.
    """
    now = gateway.clock().replace(microsecond=0)
    with gateway.database.transaction() as session:
        position = position_of(session, caller.organization_id)
        target = gateway.catalog.get(plan or position.state.requested_plan)
        wanted = quantity or position.quantity_on(target.key)
        policy.check(position.state, target, wanted)
        if position.subscription is None or position.base_item is None or position.version is None:
            raise NotEnrolled("Enrol the organization first: POST /v1/subscription.")
        price = price_of(session, target)
    # The period may have begun a second from now: the subscription is as old as Stripe's clock says, not ours.
    proration_date = max(now, datetime.fromisoformat(position.base_item["current_period_start"]))
    billing_date = datetime.fromisoformat(position.base_item["current_period_end"])
    with stripe_call():
        invoice = gateway.stripe.v1.invoices.create_preview(
            {
                "subscription": position.subscription.id,
                "subscription_details": {
                    "items": position.items_for(price, wanted),
                    "proration_behavior": PRORATION_BEHAVIOR,
                    "proration_date": to_unix(proration_date),
                },
            }
        )
    terms = Terms(
        organization_id=caller.organization_id,
        subscription_version=position.version,
        price_id=price.id,
        plan=target.key,
        quantity=wanted,
        proration_date=to_unix(proration_date),
    )
    expires_at = min(now + QUOTE_LIFETIME, billing_date)
    return Quote(
        token=sign(gateway.config, terms, expires_at),
        expires_at=expires_at,
        proration_date=proration_date,
        plan=target.key,
        quantity=wanted,
        currency=invoice.currency,
        lines=[line_of(line) for line in invoice.to_dict(for_json=True)["lines"]["data"]],
        amount_due_now=0,
        amount_due_on_billing_date=invoice.amount_due,
        billing_date=billing_date,
    )


def line_of(line: dict[str, Any]) -> QuoteLine:
    """A line of Stripe's preview."""
    parent = line["parent"]
    return QuoteLine(
        description=line["description"],
        amount=line["amount"],
        currency=line["currency"],
        period=Period(start=from_unix(line["period"]["start"]), end=from_unix(line["period"]["end"])),
        proration=parent is not None and parent[parent["type"]]["proration"],
    )


def sign(config: Config, terms: Terms, expires_at: datetime) -> str:
    """The token of a quote."""
    claims = {"aud": AUDIENCE, "exp": expires_at, "terms": vars(terms)}
    return jwt.encode(claims, signing_key(config), ALGORITHM)


def read_token(config: Config, token: str, now: datetime) -> Terms:
    """What a token of ours says. Raises QuoteExpired, InvalidRequest."""
    try:
        claims = jwt.decode(
            token,
            signing_key(config),
            [ALGORITHM],
            audience=AUDIENCE,
            options={"require": ["exp"], "verify_exp": False},
        )
    except jwt.InvalidTokenError as error:
        raise InvalidRequest("The quote is not one of ours.", errors={"quote": ["Not valid."]}) from error
    if from_unix(claims["exp"]) <= now:  # by the clock that was passed in, not by the library's
        raise QuoteExpired("The quote has expired: please ask for a new one.")
    return Terms(**claims["terms"])


def signing_key(config: Config) -> bytes:
    """A key of its own for quotes, derived from the one secret that every process has."""
    return hmac.digest(config.stripe_secret_key.encode(), b"konnect quote token", hashlib.sha256)
