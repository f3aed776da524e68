"""The environment of a command that runs in this process."""

import pytest

from tests.support.world import World


@pytest.fixture
def environment(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    config = world.gateway.config
    monkeypatch.setenv("GATEWAY_DATABASE_URL", config.database_url)
    monkeypatch.setenv("GATEWAY_CATALOG", str(config.catalog))
    monkeypatch.setenv("STRIPE_SECRET_KEY", config.stripe_secret_key)
    monkeypatch.setenv("STRIPE_API_BASE", config.stripe_api_base or "")
    monkeypatch.setenv("GATEWAY_JWT_DEVELOPMENT_SECRET", config.jwt_development_secret or "")
    monkeypatch.setattr("gateway.app.configure_logging", lambda _: None)  # other tests share this process's logging
