"""Settings that several unit tests share."""

from datetime import UTC, datetime
from typing import Any

from gateway.config import Config

NOW = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
DEVELOPMENT_SECRET = "a development secret of 32 bytes and more"


def config(**settings: Any) -> Config:
    """Return a configuration with the development issuer. No server listens at its addresses."""
    given: dict[str, Any] = {
        "database_url": "postgresql://nobody@127.0.0.1:1/nothing",
        "stripe_secret_key": "sk_test_unit",
        "jwt_development_secret": DEVELOPMENT_SECRET,
    }
    return Config(**given | settings)
