"""Build the web process from its configuration, database, Stripe client, blueprints and error handlers."""

from flask import Flask

from gateway import problems
from gateway.catalog import Catalog
from gateway.config import Config, ConfigError
from gateway.db.session import Database
from gateway.endpoints import (
    billing_details,
    health,
    history,
    invoices,
    plans,
    request_checks,
    response_headers,
    sales,
    subscription,
    webhooks,
)
from gateway.endpoints.blueprint import Api
from gateway.endpoints.request_context import EXTENSION, WebApp
from gateway.logging import configure_logging
from gateway.services.runtime import Gateway
from gateway.services.stripe_budget import Budget
from gateway.stripe_api.client import stripe_client
from handlers import HANDLERS


def build_gateway(config: Config) -> Gateway:
    """Build the objects that one process shares. Connections open on first use, which is after gunicorn's fork."""
    database = Database(config.database_url)
    budget = Budget(database, config.stripe_calls_per_second)
    return Gateway(
        config=config,
        database=database,
        stripe=stripe_client(config.stripe_secret_key, config.stripe_api_base, budget),
        catalog=Catalog.load(config.catalog),
    )


def wired() -> Gateway:
    """Build the gateway from the environment. Raise ConfigError if a setting is wrong."""
    configure_logging()
    return build_gateway(Config.from_environment())


def create_app(gateway: Gateway | None = None) -> Flask:
    """Return the WSGI application. Build ``gateway`` from the environment if none is given. Raise ConfigError."""
    if gateway is None:
        gateway = wired()
    if not gateway.config.stripe_webhook_secrets:
        raise ConfigError("STRIPE_WEBHOOK_SECRETS is not set, so the gateway would refuse every delivery.")
    app = Flask("gateway", static_folder=None)
    app.config.update(
        API_TITLE="Konnect billing",
        API_VERSION="v1",
        OPENAPI_VERSION="3.1.0",
        OPENAPI_URL_PREFIX="/v1",
        OPENAPI_JSON_PATH="openapi.json",
        API_SPEC_OPTIONS={
            "components": {"securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}},
            "security": [{"bearer": []}],
        },
    )
    app.url_map.merge_slashes = False  # a path with two slashes is unknown, not redirected to the client's own Host
    app.json.sort_keys = False  # type: ignore[attr-defined]  # Flask's default provider has it; keeps the schemas' order
    app.extensions[EXTENSION] = WebApp(gateway, HANDLERS.keys())
    app.before_request(request_checks.refuse_leading_slashes)
    app.before_request(request_checks.read_body)
    response_headers.register(app, gateway.config)
    api = Api(app)
    for resource in (plans, subscription, history, billing_details, invoices, sales):
        api.register_blueprint(resource.blueprint)
    for plain in (webhooks.blueprint, health.blueprint):
        app.register_blueprint(plain)
    problems.register(app)
    return app
