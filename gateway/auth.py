"""Verify bearer tokens, which say who calls, for which organization and with which scopes.

In production the identity provider issues the tokens, and its JWKS verifies them. In development ``gateway token``
issues them, signed with a shared secret. The configuration allows only one of the two issuers.
"""

import math
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

import jwt
from marshmallow import ValidationError

from gateway.config import MISSING, Config, ConfigError, Need
from gateway.errors import Forbidden, IdentityUnavailable, Unauthorized
from gateway.metrics import KEY_SERVER_FAILURES
from schemas.fields import ORGANIZATION_ID_PATTERN, EmailAddress

REQUIRED_CLAIMS = ["exp", "iss", "aud", "sub"]
# The actors of changes that follow usage, and of those made at Stripe. They pass limits that hold for users.
RESERVED_SUBJECTS = frozenset({"usage", "stripe"})
JWKS_ALGORITHMS = ("RS256", "ES256", "EdDSA")  # asymmetric only, or the public key could pass as a shared secret
DEVELOPMENT_ALGORITHM = "HS256"
# A service sends the same token with thousands of requests. So a withdrawn key may count this much longer.
REMEMBERED_FOR = 60  # seconds
# Seconds after which the provider's keys are fetched again, and during which the old ones count if that fails.
KEYS_FRESH_FOR, KEYS_KEPT_FOR = 300, 3600
KEYS_PAUSE, KEYS_TIMEOUT = 10, 5  # seconds between two tries, and of a try
MOST_REMEMBERED = 10_000
SCOPES = ("billing:read", "billing:write")
EMAIL = EmailAddress()


class Keys(Protocol):
    """The source of the keys that verify tokens."""

    algorithms: Sequence[str]

    def key_for(self, token: str) -> Any:  # PyJWT takes a str as well as a PyJWK
        """Return the key that verifies ``token``."""


class DevelopmentKeys:
    """A single shared secret, for development only."""

    algorithms: Sequence[str] = (DEVELOPMENT_ALGORITHM,)

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def key_for(self, token: str) -> str:  # noqa: ARG002 - every token has the same key
        """Return the shared secret."""
        return self._secret


class PublishedKeys:
    """The identity provider's published keys. An unknown key id makes a thread fetch them again.

    PyJWT's own cache fetches while all threads wait, and again for each unknown key id while the provider hangs. A few
    invalid tokens could stop the whole process.
    """

    algorithms: Sequence[str] = JWKS_ALGORITHMS

    def __init__(self, url: str) -> None:
        self._url = url
        self._keys: Mapping[str | None, jwt.PyJWK] = {}
        self._fetched_at = self._tried_at = -math.inf
        self._has_failed = False
        self._fetching = threading.Lock()

    def key_for(self, token: str) -> jwt.PyJWK:
        """Return the key that the token's header names.

        Raise IdentityUnavailable while no keys can be read. An unknown key may then be one of the new keys.
        """
        kid = jwt.get_unverified_header(token).get("kid")
        if kid not in self._keys or time.monotonic() > self._fetched_at + KEYS_FRESH_FOR:
            self._refresh()
        key = self._keys.get(kid) if self._has_keys() else None
        if key is not None:
            return key
        if self._has_failed or self._fetching.locked():
            raise IdentityUnavailable("The identity provider's keys cannot be read.")
        raise jwt.InvalidKeyError("The provider has no such key.")

    def _has_keys(self) -> bool:
        return time.monotonic() <= self._fetched_at + KEYS_KEPT_FOR

    def _refresh(self) -> None:
        """Fetch the keys, unless a thread tried moments ago. While there are keys, only one thread waits for others."""
        if self._is_too_soon() or not self._fetching.acquire(blocking=not self._has_keys()):
            return
        try:
            if not self._is_too_soon():  # another thread may have fetched them while this one waited
                self._fetch()
        finally:
            self._fetching.release()

    def _fetch(self) -> None:
        try:
            self._keys = fetch_keys(self._url, KEYS_TIMEOUT)
            self._fetched_at, self._has_failed = time.monotonic(), False
        except IdentityUnavailable as error:
            self._has_failed = True
            KEY_SERVER_FAILURES.labels(type(error.__cause__).__name__).inc()
        self._tried_at = time.monotonic()

    def _is_too_soon(self) -> bool:
        return time.monotonic() < self._tried_at + KEYS_PAUSE


def fetch_keys(url: str, timeout: float) -> Mapping[str | None, jwt.PyJWK]:
    """Return the keys that the identity provider publishes, by id. ``timeout`` is in seconds.

    Raise IdentityUnavailable if there are none. That is a fault of the provider, and not of a token.
    """
    try:
        return {key.key_id: key for key in jwt.PyJWKClient(url, timeout=timeout).get_signing_keys()}
    # PyJWT checks few of the types in the answer, so a wrong one may raise any of these errors.
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError, KeyError, RecursionError, OSError) as error:
        raise IdentityUnavailable("The identity provider's keys cannot be read.") from error


@dataclass(frozen=True, kw_only=True)
class Principal:
    """The claims of a verified token."""

    subject: str
    organization_id: str | None
    scopes: frozenset[str]
    name: str | None
    email: str | None
    currency: str | None
    """The currency in which the organization wants to be billed, if the identity provider knows it."""

    def require(self, scope: str) -> str:
        """Return the organization that the token names. Raise Forbidden if there is none or ``scope`` is missing."""
        self.require_scope(scope)
        if self.organization_id is None or not ORGANIZATION_ID_PATTERN.fullmatch(self.organization_id):
            raise Forbidden("The token names no organization.")
        return self.organization_id

    def require_scope(self, scope: str) -> None:
        """Raise Forbidden if ``scope`` is missing. That is enough for a service, which may name any organization."""
        if scope not in self.scopes:
            raise Forbidden(f"The token lacks the scope {scope}.")


class TokenVerifier:
    """Verifies bearer tokens with the keys that the configuration names."""

    def __init__(self, config: Config) -> None:
        """Read no key yet. Raise ConfigError if the configuration names none."""
        self._issuer, self._audience = config.jwt_issuer, config.jwt_audience
        self._verified: dict[str, tuple[float, Principal]] = {}
        self._keys: Keys
        if config.jwks_url is not None:
            self._keys = PublishedKeys(config.jwks_url)
        elif config.jwt_development_secret is not None:
            self._keys = DevelopmentKeys(config.jwt_development_secret)
        else:
            raise ConfigError(MISSING[Need.TOKENS])

    def verify(self, authorization: str | None) -> Principal:
        """Return the principal of an ``Authorization`` header. Raise Unauthorized, without details for an attacker.

        A verified token is not verified again for a minute, or until it expires.
        """
        until, known = self._verified.get(authorization or "", (0.0, None))
        now = time.time()
        if known is not None and now < until:
            return known
        claims = self._read_claims(authorization)
        found = Principal(
            subject=free_text(claims, "sub") or "",
            organization_id=text_claim(claims, "organization_id"),
            scopes=frozenset((text_claim(claims, "scope") or "").split()),
            name=free_text(claims, "organization_name"),
            email=email_address(claims, "email"),
            currency=text_claim(claims, "currency"),
        )
        if found.subject in RESERVED_SUBJECTS:
            raise unauthorized("The token's subject is reserved.")
        if len(self._verified) >= MOST_REMEMBERED:
            self._verified.clear()
        self._verified[authorization or ""] = min(now + REMEMBERED_FOR, int(claims["exp"])), found
        return found

    def _read_claims(self, authorization: str | None) -> dict[str, Any]:
        """Verify the token of an ``Authorization`` header, and return its claims."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise unauthorized("Send a bearer token in the Authorization header.")
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                self._keys.key_for(token),
                algorithms=self._keys.algorithms,
                audience=self._audience,
                issuer=self._issuer,
                options={"require": REQUIRED_CLAIMS},
            )
        except jwt.ExpiredSignatureError as error:
            raise unauthorized("The token has expired.") from error
        except (jwt.PyJWTError, ValueError) as error:
            raise unauthorized("The token is not valid.") from error
        return claims


def text_claim(claims: dict[str, Any], name: str) -> str | None:
    """Return the claim if it is a string, or None."""
    value = claims.get(name)
    return value if isinstance(value, str) else None


def free_text(claims: dict[str, Any], name: str) -> str | None:
    """Return a text claim without NUL and lone surrogates, which PostgreSQL's text type refuses."""
    value = text_claim(claims, name)
    return value.replace("\0", "").encode(errors="ignore").decode() if value is not None else None


def email_address(claims: dict[str, Any], name: str) -> str | None:
    """Return an e-mail claim that billing details would accept, or None.

    Stripe refuses to create a customer with any other address.
    """
    try:
        address: str | None = EMAIL.deserialize(free_text(claims, name))
    except ValidationError:
        return None
    return address


def unauthorized(detail: str) -> Unauthorized:
    """Return the error with the header that RFC 6750 requires."""
    return Unauthorized(detail, headers={"WWW-Authenticate": "Bearer"})


def issue_development_token(
    config: Config,
    organization_id: str | None,
    now: datetime,
    *,
    scopes: tuple[str, ...] = SCOPES,
    name: str | None = None,
) -> str:
    """Return a development token that is valid for a day. Raise ValueError if the issuer is switched off.

    A service's token needs no organization.
    """
    if config.jwt_development_secret is None:
        raise ValueError("The development issuer is off because GATEWAY_JWT_DEVELOPMENT_SECRET is not set.")
    claims = {
        "iss": config.jwt_issuer,
        "aud": config.jwt_audience,
        "sub": "development",
        "organization_id": organization_id,
        "organization_name": name or organization_id,
        "scope": " ".join(scopes),
        "iat": now,
        "exp": now + timedelta(days=1),
    }
    return jwt.encode(claims, config.jwt_development_secret, DEVELOPMENT_ALGORITHM)
