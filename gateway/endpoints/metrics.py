"""``GET /metrics``: for Prometheus. It names no organization, no object and no secret."""

from collections.abc import Iterator

import structlog
from flask import Blueprint, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.endpoints.context import gateway
from gateway.errors import DatabaseUnavailable
from gateway.metrics import counted
from gateway.services.status import Status, status

blueprint = Blueprint("metrics", __name__)
log = structlog.get_logger()


@blueprint.get("/metrics")
def metrics() -> Response:
    """What the processes counted, and what the database says now."""
    registry = CollectorRegistry()
    registry.register(Read())
    return Response(counted() + generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


class Read(Collector):
    """The gauges, read when they are asked for."""

    def collect(self) -> Iterator[Metric]:
        """All of them, or only that the database is away."""
        try:
            now = status(gateway())
        except DatabaseUnavailable:
            log.warning("metrics_without_database", exc_info=True)
            yield GaugeMetricFamily("gateway_database_up", "Whether the database answers.", 0)
            return
        yield GaugeMetricFamily("gateway_database_up", "Whether the database answers.", 1)
        yield from gauges(now)


def gauges(now: Status) -> Iterator[Metric]:
    """The status as Prometheus reads it."""
    events = GaugeMetricFamily("gateway_inbox_events", "Events that wait, or need a person.", labels=["state"])
    for state, number in now.events.items():
        events.add_metric([state], number)
    changes = GaugeMetricFamily("gateway_plan_changes", "Plan changes that have not ended.", labels=["state"])
    for state, number in now.changes.items():
        changes.add_metric([state], number)
    jobs = GaugeMetricFamily("gateway_jobs", "Jobs that wait, run or have failed.", labels=["task", "status"])
    for labels, number in now.jobs.items():
        jobs.add_metric(labels, number)
    yield from (events, changes, jobs)
    yield GaugeMetricFamily(
        "gateway_plan_changes_mischarged", "Plan changes charged otherwise than quoted: an alarm.", now.mischarged
    )
    yield GaugeMetricFamily(
        "gateway_organizations_unmapped",
        "Organizations whose price is none of the catalogue's: an alarm.",
        now.unmapped,
    )
    yield GaugeMetricFamily(
        "gateway_inbox_lag_seconds", "How long the longest waiting event has been due.", now.lag.total_seconds()
    )
    yield GaugeMetricFamily(
        "gateway_sales_inquiries_undelivered",
        "Inquiries that sales' own system has not taken.",
        now.undelivered_inquiries,
    )
    yield GaugeMetricFamily("gateway_jobs_stalled", "Jobs of a worker that was killed.", now.stalled_jobs)
    yield GaugeMetricFamily("gateway_workers", "Workers that give signs of life.", now.workers)
