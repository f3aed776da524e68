"""Bearer tokens: who calls, for which organization, with which scopes.

In production the tokens are the identity provider's, checked against its JWKS. A development issuer (``gateway token``,
switched on by a secret) stands in for it; the two are never on at once.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

import jwt
from marshmallow import ValidationError

from gateway.config import Config
from gateway.errors import Forbidden, IdentityUnavailable, Unauthorized
from schemas.fields import EmailAddress

ORGANIZATION_ID = re.compile(r"\A[A-Za-z0-9_.:-]{1,128}\Z")
REQUIRED_CLAIMS = ["exp", "iss", "aud", "sub"]
JWKS_ALGORITHMS = ("RS256", "ES256", "EdDSA")  # asymmetric only: a public key must never do as a shared secret
DEVELOPMENT_ALGORITHM = "HS256"
SCOPES = ("billing:read", "billing:write")
EMAIL = EmailAddress()


class Keys(Protocol):
    """Where the key comes from that a token must be signed with."""

    algorithms: Sequence[str]

    def key_for(self, token: str) -> Any:  # PyJWT's own type for a key
        """The key for ``token``."""


class DevelopmentKeys:
    """One shared secret."""

    algorithms: Sequence[str] = (DEVELOPMENT_ALGORITHM,)

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def key_for(self, token: str) -> str:  # noqa: ARG002 - one key for all
        """The secret."""
        return self._secret


class JwksKeys:
    """The identity provider's published keys, cached; an unknown key id makes it look again."""

    algorithms: Sequence[str] = JWKS_ALGORITHMS

    def __init__(self, url: str) -> None:
        self._client = jwt.PyJWKClient(url, timeout=5)

    def key_for(self, token: str) -> jwt.PyJWK:
        """The key that the token's header names."""
        try:
            return self._client.get_signing_key_from_jwt(token)
        except (jwt.PyJWKClientConnectionError, jwt.PyJWKSetError, ValueError) as error:
            # Not there, or what it answered are no keys: either way nothing is known of the token.
            raise IdentityUnavailable("The identity provider's keys cannot be read.") from error


@dataclass(frozen=True, kw_only=True)
class Principal:
    """A verified token."""

    subject: str
    organization_id: str | None
    scopes: frozenset[str]
    name: str | None
    email: str | None

    def require(self, scope: str) -> str:
        """The organization, if the token carries ``scope`` and names one. Raises Forbidden."""
        if scope not in self.scopes:
            raise Forbidden(f"The token lacks the scope {scope}.")
        if self.organization_id is None or not ORGANIZATION_ID.match(self.organization_id):
            raise Forbidden("The token names no organization.")
        return self.organization_id


class TokenVerifier:
    """Checks bearer tokens as the configuration says."""

    def __init__(self, config: Config) -> None:
        self._issuer, self._audience = config.jwt_issuer, config.jwt_audience
        self._keys: Keys
        if config.jwks_url is not None:
            self._keys = JwksKeys(config.jwks_url)
        else:
            self._keys = DevelopmentKeys(config.jwt_development_secret or "")

    def verify(self, authorization: str | None) -> Principal:
        """Who an ``Authorization`` header stands for. Raises Unauthorized, without saying why to an attacker's use."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise unauthorized("Send a bearer token in the Authorization header.")
        try:
            claims = jwt.decode(
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
        return Principal(
            subject=free_text(claims, "sub") or "",
            organization_id=text_claim(claims, "organization_id"),
            scopes=frozenset((text_claim(claims, "scope") or "").split()),
            name=free_text(claims, "organization_name"),
            email=email_address(claims, "email"),
        )


def text_claim(claims: dict[str, Any], name: str) -> str | None:
    """A claim that is a string, or None."""
    value = claims.get(name)
    return value if isinstance(value, str) else None


def free_text(claims: dict[str, Any], name: str) -> str | None:
    """The same for what is only stored: without NUL and lone surrogates, which PostgreSQL's text refuses."""
    value = text_claim(claims, name)
    return value.replace("\0", "").encode(errors="ignore").decode() if value is not None else None


def email_address(claims: dict[str, Any], name: str) -> str | None:
    """The same for an address, if it is one that billing details would take: Stripe makes no customer with another."""
    try:
        address: str | None = EMAIL.deserialize(free_text(claims, name))
    except ValidationError:
        return None
    return address


def unauthorized(detail: str) -> Unauthorized:
    """The error with the header that RFC 6750 asks for."""
    return Unauthorized(detail, headers={"WWW-Authenticate": "Bearer"})


def issue_development_token(
    config: Config, organization_id: str, now: datetime, *, scopes: tuple[str, ...] = SCOPES, name: str | None = None
) -> str:
    """A token of the development issuer, good for a day. Raises ValueError if the issuer is switched off."""
    if config.jwt_development_secret is None:
        raise ValueError("The development issuer is off: GATEWAY_JWT_DEVELOPMENT_SECRET is not set.")
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
