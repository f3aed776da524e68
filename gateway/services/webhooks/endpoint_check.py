"""Check our webhook endpoint at Stripe: whether it sends at all, in which API version, and which event types.

https://docs.stripe.com/api/webhook_endpoints/object
"""

from collections.abc import Iterable

import structlog
from stripe import WebhookEndpoint

from gateway.db.checks import load_result, store_result
from gateway.db.models import Check
from gateway.errors import StripeRejected, StripeUnavailable
from gateway.services.runtime import Gateway
from gateway.stripe_api.client import API_VERSION, stripe_call

CHECK_NAME = "webhook_endpoint"
WEBHOOK_PATH = "/webhooks/stripe"
MAX_NAMED_TYPES = 5  # a message names this many types and counts the rest

log = structlog.get_logger()


def check_endpoint(gateway: Gateway, types: Iterable[str]) -> None:
    """Check the endpoint and store the result, for code that must not call Stripe.

    If Stripe is unavailable, the last result stays. ``load_last_check`` reads it.
    """
    if gateway.config.public_url is None:
        return
    try:
        problem = find_endpoint_problem(gateway, gateway.config.public_url, types)
    except StripeUnavailable:
        log.warning("webhook_endpoint_not_checked", exc_info=True)
        return
    if problem is not None:
        log.error("webhook_endpoint_wrong", problem=problem)
    store_result(gateway.database, CHECK_NAME, problem, gateway.clock())


def load_last_check(gateway: Gateway) -> Check | None:
    """Return the stored result, or None if the endpoint was never checked."""
    return load_result(gateway.database, CHECK_NAME)


def find_endpoint_problem(gateway: Gateway, public_url: str, types: Iterable[str]) -> str | None:
    """Describe the problem of the endpoint at Stripe, or return None. Raise StripeUnavailable."""
    url = public_url.rstrip("/") + WEBHOOK_PATH
    try:
        with stripe_call():
            listed = gateway.stripe.v1.webhook_endpoints.list({"limit": 100})
            ours = [each for each in listed.auto_paging_iter() if each.url == url]
    except StripeRejected as error:
        return f"Stripe does not let this key read webhook endpoints. Permit it in the dashboard ({error.detail})"
    if not ours:
        return f"there is no endpoint for {url} in this account and mode. Create it in Stripe's dashboard"
    problems = [describe_problem(endpoint, types) for endpoint in ours]
    # One correct endpoint is enough. A second one may exist while endpoints are exchanged.
    return None if None in problems else problems[0]


def describe_problem(endpoint: WebhookEndpoint, types: Iterable[str]) -> str | None:
    """Describe the problem of one endpoint, or return None."""
    if endpoint.status != "enabled":
        return f"{endpoint.id} is {endpoint.status}, so Stripe sends nothing. Enable it in Stripe's dashboard"
    if endpoint.api_version != API_VERSION:
        version = endpoint.api_version or "the account's default version"
        consequence = "the worker looks up each object. Create a new endpoint in this version"
        return f"{endpoint.id} sends events in {version}, not {API_VERSION}, so {consequence}"
    missing = sorted(set(types) - set(endpoint.enabled_events))
    if not missing or "*" in endpoint.enabled_events:
        return None
    named = ", ".join(missing[:MAX_NAMED_TYPES]) + (
        f" and {len(missing) - MAX_NAMED_TYPES} more" if len(missing) > MAX_NAMED_TYPES else ""
    )
    return f"{endpoint.id} does not send {named}. Add the types that `gateway events types` lists"
