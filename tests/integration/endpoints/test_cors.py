"""Only the browsers of the allowed origins may call the interface."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from flask.testing import FlaskClient

from gateway.app import create_app
from gateway.endpoints.request_context import EXTENSION
from tests.support.world import World

UI = "https://konnect.example"
ALLOWED = "Access-Control-Allow-Origin"


@pytest.fixture
def client(world: World) -> Iterator[FlaskClient]:
    app = create_app(replace(world.gateway, config=replace(world.gateway.config, ui_origins=(UI,))))
    yield app.test_client()
    app.extensions[EXTENSION].close()


def preflight(client: FlaskClient, path: str, origin: str) -> dict[str, str]:
    wanted = {"Access-Control-Request-Method": "PATCH", "Access-Control-Request-Headers": "authorization,if-match"}
    return dict(client.options(path, headers={"Origin": origin, **wanted}).headers)


def test_allowed_origin_may_call_the_interface(client: FlaskClient) -> None:
    found = preflight(client, "/v1/subscription", UI)
    assert (found[ALLOWED], "PATCH" in found["Access-Control-Allow-Methods"]) == (UI, True)
    assert found["Access-Control-Allow-Headers"] == "authorization, if-match"
    refused = client.get("/v1/subscription", headers={"Origin": UI})
    assert (refused.status_code, refused.headers[ALLOWED]) == (401, UI)
    assert "X-Request-Id" in refused.headers["Access-Control-Expose-Headers"]
    assert "Access-Control-Allow-Credentials" not in refused.headers


@pytest.mark.parametrize("origin", ["https://evil.example", "https://konnect.example.evil.example", "null"])
def test_other_origins_get_no_permission(client: FlaskClient, origin: str) -> None:
    assert ALLOWED not in preflight(client, "/v1/subscription", origin)
    assert ALLOWED not in client.get("/v1/plans", headers={"Origin": origin}).headers


def test_no_other_path_is_open(client: FlaskClient, world: World) -> None:
    assert ALLOWED not in preflight(client, "/health/ready", UI)
    assert ALLOWED not in preflight(world.client, "/v1/subscription", UI)
