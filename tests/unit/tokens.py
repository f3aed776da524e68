"""Makes valid and invalid bearer tokens, and verifies them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest

from gateway.auth import Principal, TokenVerifier
from gateway.errors import Unauthorized
from tests.support.config import DEVELOPMENT_SECRET, config

CONFIG = config()
VERIFIER = TokenVerifier(CONFIG)
HOUR = timedelta(hours=1)


def claims(**changes: Any) -> dict[str, Any]:
    """Return valid claims with ``changes``. None removes a claim."""
    now = datetime.now(UTC)
    found = {
        "iss": "konnect",
        "aud": "konnect-billing",
        "sub": "user_1",
        "iat": now,
        "exp": now + HOUR,
        "organization_id": "org_1",
        "organization_name": "Acme",
        "email": "owner@acme.example",
        "scope": "billing:read billing:write",
    } | changes
    return {name: value for name, value in found.items() if value is not None}


def token(key: Any = DEVELOPMENT_SECRET, algorithm: str = "HS256", *, kid: str | None = None, **changes: Any) -> str:
    return jwt.encode(claims(**changes), key, algorithm, headers={"kid": kid} if kid else None)


def principal_of(found: str, verifier: TokenVerifier = VERIFIER) -> Principal:
    return verifier.verify(f"Bearer {found}")


def refused(found: str, verifier: TokenVerifier = VERIFIER) -> str:
    with pytest.raises(Unauthorized) as caught:
        principal_of(found, verifier)
    assert caught.value.headers == {"WWW-Authenticate": "Bearer"}
    return caught.value.detail
