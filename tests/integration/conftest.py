"""The gateway as it runs, with a sandbox for Stripe: everything over HTTP and on the real database."""

import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
from flask import Flask
from sqlalchemy import text
from werkzeug.serving import WSGIRequestHandler, make_server

from gateway.app import build_gateway, create_app
from gateway.config import Config
from gateway.db.models import Base
from gateway.endpoints.request_context import EXTENSION
from gateway.sandbox import Sandbox
from gateway.services.operations.catalog_sync import sync_catalog
from gateway.services.runtime import Gateway
from gateway.stripe_api.client import API_VERSION, stripe_client
from tests.integration.documented import watch
from tests.integration.support import Api, StripeTime, World

WEBHOOK_SECRET = "whsec_test"


class QuietHandler(WSGIRequestHandler):
    """Says nothing of each request."""

    def log(self, type: str, message: str, *args: object) -> None:  # noqa: A002 - werkzeug's own name
        """Nothing."""


@pytest.fixture
def stripe_time() -> StripeTime:
    return StripeTime()


@pytest.fixture
def sandbox(stripe_time: StripeTime) -> Iterator[Sandbox]:
    with Sandbox(clock=stripe_time, retry_delays=(0.05, 0.2, 0.5)) as running:
        yield running


@pytest.fixture
def config(database_url: str, sandbox: Sandbox) -> Config:
    return Config(
        database_url=database_url,
        stripe_secret_key="sk_test_gateway",
        stripe_publishable_key="pk_test_gateway",
        stripe_webhook_secrets=(WEBHOOK_SECRET,),
        stripe_api_base=sandbox.url,
        stripe_calls_per_second=1000,  # tests of the budget set their own
        jwt_development_secret="a secret that only these tests know",
    )


@pytest.fixture
def world(config: Config) -> Iterator[World]:
    """A gateway with an empty database, its catalogue synced, and a webhook endpoint at the sandbox.

    In this order, so that no test begins with deliveries on their way.
    """
    set_up = build_gateway(config)
    empty(set_up)
    list(sync_catalog(set_up))
    set_up.database.close()
    front = Flask("front")  # Stripe gives the secret for an address, so the address comes before the application
    server = make_server("127.0.0.1", 0, front, threaded=True, request_handler=QuietHandler)
    server.daemon_threads = False  # type: ignore[attr-defined]  # so that closing it waits for deliveries on their way
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    stripe = stripe_client(config.stripe_secret_key, config.stripe_api_base)  # not the gateway's: outside its budget
    endpoint = stripe.v1.webhook_endpoints.create(
        {
            "url": f"http://127.0.0.1:{server.port}/webhooks/stripe",
            "enabled_events": ["*"],
            "api_version": API_VERSION,
        }
    )
    assert endpoint.secret is not None
    gateway = build_gateway(replace(config, stripe_webhook_secrets=(WEBHOOK_SECRET, endpoint.secret)))
    app = create_app(gateway)
    undocumented = watch(app)
    front.wsgi_app = app.wsgi_app  # type: ignore[method-assign]  # Flask's documented way to replace it
    yield World(gateway=gateway, stripe=stripe, client=app.test_client())
    server.shutdown()
    thread.join()
    server.server_close()
    app.extensions[EXTENSION].close()
    assert undocumented == []


@pytest.fixture
def api(world: World) -> Api:
    """The interface as an organization sees it that is on Free with a card on file."""
    api = world.api()
    api.ok("POST", "/subscription", plan="free")
    api.add_card(world.stripe)
    world.settle()
    return api


def empty(gateway: Gateway) -> None:
    """Remove what the test before left."""
    tables = ", ".join([*Base.metadata.tables, "procrastinate_jobs", "procrastinate_workers"])
    with gateway.database.transaction() as session:
        session.execute(text(f"TRUNCATE {tables} CASCADE"))
