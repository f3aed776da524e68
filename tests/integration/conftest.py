"""The gateway runs over HTTP on a real database, with the sandbox in place of Stripe."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from flask import Flask

from gateway.app import build_gateway, create_app
from gateway.config import Config
from gateway.endpoints.request_context import EXTENSION
from gateway.sandbox import Sandbox
from gateway.sandbox.server import Server
from gateway.services.operations.catalog_sync import sync_catalog
from gateway.stripe_api.client import API_VERSION, stripe_client
from tests.support.api import ApiClient
from tests.support.catalogs import write_catalog
from tests.support.clock import StripeTime
from tests.support.database import empty, reopen_database
from tests.support.documented import watch
from tests.support.notified import NotifiedSystem, notified_system
from tests.support.saved_state import SavedStates, set_up_once
from tests.support.stripe_events import WEBHOOK_SECRET
from tests.support.world import World

SYNCED = SavedStates(lifetime=3600)
"""What is there after the sync of a catalogue."""


@pytest.fixture
def stripe_time() -> StripeTime:
    return StripeTime()


@pytest.fixture
def gateway_clock() -> Callable[[], datetime]:
    """Return the gateway's clock. A module with another clock has a fixture of this name."""
    return lambda: datetime.now(UTC)


@pytest.fixture
def sandbox(stripe_time: StripeTime) -> Iterator[Sandbox]:
    with Sandbox(clock=stripe_time, retry_delays=(0.05, 0.2, 0.5)) as running:
        yield running


@pytest.fixture
def catalog_file(tmp_path: Path) -> Path:
    """Return the file of the catalogue. A module with another catalogue has a fixture of this name."""
    return write_catalog(tmp_path / "catalog.toml")


@pytest.fixture
def config(database_url: str, sandbox: Sandbox, catalog_file: Path) -> Config:
    return Config(
        database_url=database_url,
        stripe_secret_key="sk_test_gateway",
        stripe_publishable_key="pk_test_gateway",
        stripe_webhook_secrets=(WEBHOOK_SECRET,),
        stripe_api_base=sandbox.url,
        stripe_calls_per_second=1000,  # the budget's tests set their own rate
        rate_limit_factor=1000,  # the limits' tests set their own
        catalog=catalog_file,
        jwt_development_secret="a secret that only these tests know",
    )


@pytest.fixture
def world(
    config: Config, sandbox: Sandbox, catalog_file: Path, gateway_clock: Callable[[], datetime]
) -> Iterator[World]:
    """Set up a gateway with an empty database, a synced catalogue and a webhook endpoint at the sandbox.

    The endpoint comes last, so that no deliveries are in flight when the test begins.
    """
    gateway = replace(build_gateway(config, open_database=reopen_database), clock=gateway_clock)

    def sync() -> None:
        empty(gateway)
        list(sync_catalog(gateway))

    SYNCED.set_up(catalog_file.read_bytes(), gateway.database, sandbox, sync)
    front = Flask("front")  # the application needs the endpoint's secret, which needs an address
    server = Server(front)
    thread = threading.Thread(target=server.serve_forever, args=(0.005,), daemon=True)
    thread.start()
    stripe = stripe_client(
        config.stripe_secret_key, config.stripe_api_base
    )  # a separate client, outside the gateway's budget
    endpoint = stripe.v1.webhook_endpoints.create(
        {
            "url": f"http://127.0.0.1:{server.port}/webhooks/stripe",
            "enabled_events": ["*"],
            "api_version": API_VERSION,
        }
    )
    assert endpoint.secret is not None
    gateway = replace(gateway, config=replace(config, stripe_webhook_secrets=(WEBHOOK_SECRET, endpoint.secret)))
    app = create_app(gateway)
    undocumented = watch(app)
    front.wsgi_app = app.wsgi_app  # type: ignore[method-assign]  # Flask's documented way to replace the application
    yield World(gateway=gateway, stripe=stripe, sandbox=sandbox, client=app.test_client())
    server.shutdown()
    thread.join()  # the thread closes the server
    app.extensions[EXTENSION].close()
    assert undocumented == []


@pytest.fixture
def konnect() -> Iterator[NotifiedSystem]:
    """Return a system that is notified, if the module's configuration names it as a receiver."""
    with notified_system() as found:
        yield found


@pytest.fixture
def api(world: World) -> ApiClient:
    """Return a client for an organization that is on Free with a card on file."""
    api = world.api()

    def enrol() -> None:
        api.ok("POST", "/subscription", plan="free")
        api.add_card(world.stripe)
        world.settle()

    set_up_once(world, "on Free with a card", enrol)
    return api


@pytest.fixture
def cardless(world: World) -> ApiClient:
    """Return a client for an organization that is on Free without a payment method."""
    api = world.api()

    def enrol() -> None:
        api.ok("POST", "/subscription", plan="free")
        world.settle()

    set_up_once(world, "on Free", enrol)
    return api
