"""Build the web process from its configuration, database, Stripe client, blueprints and error handlers."""

import logging
from collections.abc import Callable, Collection
from typing import Any

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from gateway import problems, telemetry
from gateway.catalog import Catalog
from gateway.config import MISSING, Config, ConfigError, Need
from gateway.db.session import Database
from gateway.endpoints import (
    billing_details,
    billing_portal,
    entitlements,
    flags,
    health,
    history,
    invoices,
    plans,
    request_checks,
    response_headers,
    sales,
    spend_alerts,
    subscription,
    trail,
    usage,
    webhooks,
)
from gateway.endpoints.document import DESCRIPTION, Api
from gateway.endpoints.limits import RateLimits
from gateway.endpoints.request_context import EXTENSION, WebApp
from gateway.logging import configure_logging
from gateway.pages import billing, reference
from gateway.receivers import load_receivers
from gateway.services.rate_limits.stripe_budget import Budget
from gateway.services.runtime import Gateway
from gateway.stripe_api.breaker import Breaker
from gateway.stripe_api.client import stripe_client
from gateway.stripe_api.gate import Gate, Share
from handlers import HANDLERS

BEARER = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "JWT",
    "description": "Each operation names the scope that the token's claim `scope` must hold.",
}


class Application(Flask):
    """Flask without async views. It would look for one with each of the dozen functions that a request calls."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function, because all of ours are synchronous."""
        return func


def build_gateway(
    config: Config, share: Share | None = None, *, open_database: Callable[..., Database] = Database
) -> Gateway:
    """Build the objects that one process shares. Connections open on first use, which is after gunicorn's fork.

    ``share`` bounds the threads that calls to Stripe may hold. The default is that of a web process. The tests pass an
    ``open_database`` that keeps its compiled statements from test to test.
    """
    catalog = Catalog.load(config.catalog)
    suspends = catalog.on_dispute == "suspend"
    receivers = load_receivers(config)
    database = open_database(
        config.database_url, plan_ranking=catalog.keys, suspends_disputed=suspends, receivers=tuple(receivers)
    )
    budget = Budget(database, config.stripe_calls_per_second)
    gate = Gate(Breaker(on_open=budget.note_breaker_open), share or Share.of_web(config.web_threads))
    return Gateway(
        config=config,
        database=database,
        stripe=stripe_client(config.stripe_secret_key, config.stripe_api_base, budget, gate),
        gate=gate,
        catalog=catalog,
        receivers=receivers,
        clock=database.now,
    )


def build_from_environment(
    needs: Collection[Need] = tuple(Need), share: Share | None = None, level: int = logging.INFO
) -> Gateway:
    """Build the gateway from the environment, and log from ``level`` on. Raise ConfigError if a setting is wrong.

    ``needs`` names what the caller cannot do without.
    """
    configure_logging(level)
    telemetry.start_from_environment()
    return build_gateway(Config.from_environment(needs), share)


def create_app(gateway: Gateway | None = None) -> Flask:
    """Return the WSGI application. Build ``gateway`` from the environment if none is given. Raise ConfigError."""
    if gateway is None:
        gateway = build_from_environment()
    if not gateway.config.stripe_webhook_secrets:
        raise ConfigError(MISSING[Need.WEBHOOKS])
    app = Application("gateway", static_folder=None)
    app.config.update(
        API_TITLE="Konnect billing",
        API_VERSION="v1",
        OPENAPI_VERSION="3.1.0",
        OPENAPI_URL_PREFIX="/v1",
        OPENAPI_JSON_PATH="openapi.json",
        API_SPEC_OPTIONS={
            "info": {"description": DESCRIPTION},
            "components": {"securitySchemes": {"bearer": BEARER}},
        },
    )
    app.url_map.merge_slashes = False  # a path with two slashes is unknown, not redirected to the client's own Host
    app.json.sort_keys = False  # type: ignore[attr-defined]  # Flask's default provider has it; keeps the schemas' order
    app.extensions[EXTENSION] = web = WebApp(gateway, HANDLERS.keys())
    app.url_map.converters["payment_method"] = billing_details.PaymentMethodId
    app.url_map.converters["organization"] = entitlements.OrganizationId
    if proxies := gateway.config.trusted_proxies:  # anyone could write the header, so only our proxies' part counts
        proxied = ProxyFix(app.wsgi_app, x_for=proxies, x_proto=0, x_host=0)
        app.wsgi_app = proxied  # type: ignore[method-assign]  # Flask's documented way to wrap it
    app.before_request(request_checks.refuse_leading_slashes)
    app.before_request(request_checks.read_body)
    response_headers.register(app, gateway.config)
    RateLimits(app, gateway)
    api = Api(app, plan_keys=gateway.catalog.keys)
    for resource in (
        plans,
        subscription,
        history,
        entitlements,
        flags,
        billing_details,
        billing_portal,
        invoices,
        usage,
        spend_alerts,
        sales,
    ):
        api.register_blueprint(resource.blueprint)
    for plain in (health.blueprint, billing.build_blueprint(gateway.config), reference.build_blueprint()):
        app.register_blueprint(plain)
    problems.register(app)
    app.before_request(gateway.gate.begin_request)
    app.teardown_request(lambda _error: gateway.gate.end_request())
    ingress = webhooks.WebhookIngress(app.wsgi_app, web, app.config[problems.HEADERS])
    app.wsgi_app = trail.Trail(ingress)  # type: ignore[method-assign]  # Flask's documented way to wrap it
    return app
