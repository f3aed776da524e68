"""What each process counts for itself; all else that ``GET /metrics`` tells is read from the database.

Under ``gateway serve`` the counts of all its processes, also of those that ended, lie in files of one directory
(``PROMETHEUS_MULTIPROC_DIR``), so it does not matter which process is asked.
"""

import os

from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"
REGISTRY = CollectorRegistry()

DELIVERIES = Counter(
    "gateway_webhook_deliveries",
    "Deliveries by the status that Stripe was answered: 200 stored, 400 refused, 413 too large, 503 to be sent again.",
    ["status"],
    registry=REGISTRY,
)
SIGNATURES = Counter(
    "gateway_webhook_signatures",
    "Deliveries by the webhook secret that matched: its place in STRIPE_WEBHOOK_SECRETS from 0, or none.",
    ["secret"],
    registry=REGISTRY,
)


def counted() -> bytes:
    """All counts in Prometheus' text format."""
    if DIRECTORY not in os.environ:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # the library's own omission
    return generate_latest(registry)
