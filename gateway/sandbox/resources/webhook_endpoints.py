"""Endpoints of webhook endpoints (https://docs.stripe.com/api/webhook_endpoints)."""

from stripe.params import (
    WebhookEndpointCreateParams,
    WebhookEndpointDeleteParams,
    WebhookEndpointListParams,
    WebhookEndpointRetrieveParams,
    WebhookEndpointUpdateParams,
)

from gateway.sandbox.errors import invalid, not_built
from gateway.sandbox.events import API_VERSION
from gateway.sandbox.json_types import Json
from gateway.sandbox.metadata import merged
from gateway.sandbox.pagination import CURSORS, page
from gateway.sandbox.routing import Routes
from gateway.sandbox.work import Work

routes = Routes()


@routes.post(
    "/v1/webhook_endpoints",
    WebhookEndpointCreateParams,
    "url enabled_events api_version description metadata",
)
def create(work: Work, params: Json) -> Json:
    """Create a webhook endpoint. Only this response contains its signing secret."""
    if params.get("api_version", API_VERSION) != API_VERSION:
        raise not_built(f"webhooks in the API version {params['api_version']}", "api_version")
    if not params["url"].startswith(("http://", "https://")):
        raise invalid(f"Invalid URL: {params['url']}", param="url", code="url_invalid")
    endpoint = {
        "id": work.ids.new("we"),
        "object": "webhook_endpoint",
        "api_version": params.get("api_version"),
        "application": None,
        "created": work.now,
        "description": params.get("description") or None,
        "enabled_events": params["enabled_events"],
        "livemode": False,
        "metadata": params.get("metadata") or {},
        "status": "enabled",
        "url": params["url"],
    }
    secret = f"whsec_{work.ids.text(32)}"
    work.note("secret", endpoint["id"], {"secret": secret})
    return work.add(endpoint) | {"secret": secret}


@routes.get("/v1/webhook_endpoints/{webhook_endpoint}", WebhookEndpointRetrieveParams)
def retrieve(work: Work, params: Json, webhook_endpoint: str) -> Json:
    """Return a webhook endpoint without its secret."""
    return work.get("webhook_endpoint", webhook_endpoint)


@routes.post(
    "/v1/webhook_endpoints/{webhook_endpoint}",
    WebhookEndpointUpdateParams,
    "url enabled_events description disabled metadata",
)
def update(work: Work, params: Json, webhook_endpoint: str) -> Json:
    """Change the URL or the event types of a webhook endpoint, or disable it."""
    found = work.get("webhook_endpoint", webhook_endpoint)
    changes: Json = {key: params[key] for key in ("url", "enabled_events", "description") if key in params}
    if "disabled" in params:
        changes["status"] = "disabled" if params["disabled"] else "enabled"
    if "metadata" in params:
        changes["metadata"] = merged(found["metadata"], params["metadata"])
    return work.update(found, changes)


@routes.delete("/v1/webhook_endpoints/{webhook_endpoint}", WebhookEndpointDeleteParams)
def delete(work: Work, params: Json, webhook_endpoint: str) -> Json:
    """Delete a webhook endpoint, which stops all deliveries to it."""
    return work.remove(work.get("webhook_endpoint", webhook_endpoint))


@routes.get("/v1/webhook_endpoints", WebhookEndpointListParams, CURSORS)
def list_all(work: Work, params: Json) -> Json:
    """List all webhook endpoints."""
    return page(work, work.select("webhook_endpoint"), params, kind="webhook_endpoint", url="/v1/webhook_endpoints")
