"""Counters that each process keeps for itself. ``GET /metrics`` reads everything else from the database.

Under ``gateway serve`` all processes write their counts to files in one directory (``PROMETHEUS_MULTIPROC_DIR``).
The files outlive their process, so any process can report the counts of all.
"""

import os

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from gateway.config import COUNTS_DIRECTORY

REGISTRY = CollectorRegistry()

DELIVERIES = Counter(
    "gateway_webhook_deliveries",
    "Deliveries by the status of our answer: 200 stored, 400 refused, 413 too large, 503 to be redelivered.",
    ["status"],
    registry=REGISTRY,
)
SIGNATURES = Counter(
    "gateway_webhook_signatures",
    "Deliveries by the secret that matched, given as its index in STRIPE_WEBHOOK_SECRETS or none.",
    ["secret"],
    registry=REGISTRY,
)
ATTEMPT_SECONDS = Histogram(
    "gateway_stripe_call_seconds",
    "Duration of the web's calls to Stripe by outcome: answered, failed (5xx), silent. A retry counts separately.",
    ["outcome"],
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40),
    registry=REGISTRY,
)
CALLS_REFUSED = Counter(
    "gateway_stripe_calls_refused",
    "Calls that the web did not make: breaker (Stripe does not answer), threads (all busy), deadline (no time left).",
    ["reason"],
    registry=REGISTRY,
)
# Without a label, it would also open a file of counts in gunicorn's first process, which never calls Stripe.
BREAKER_TRANSITIONS = Counter(
    "gateway_stripe_breaker_transitions",
    "How often a web process stopped calling Stripe because it did not answer (open), and resumed (closed).",
    ["state"],
    registry=REGISTRY,
)
KEY_SERVER_FAILURES = Counter(
    "gateway_key_server_failures",
    "How often the identity provider's keys could not be read, by the class of the error.",
    ["error"],
    registry=REGISTRY,
)
LIMITED = Counter(
    "gateway_requests_limited",
    "Requests refused with 429, by the limit that they exceeded: the class of the route and who is limited.",
    ["limit"],
    registry=REGISTRY,
)


def render_counts() -> bytes:
    """Return all counts in Prometheus' text format."""
    if COUNTS_DIRECTORY not in os.environ:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # the library has no annotations
    return generate_latest(registry)
