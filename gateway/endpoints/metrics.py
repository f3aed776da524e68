"""``GET /metrics``: for Prometheus. It names no organization, no object and no secret."""

from collections.abc import Iterator, Mapping
from datetime import datetime

import structlog
from flask import Blueprint, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.endpoints.context import gateway
from gateway.errors import DatabaseUnavailable
from gateway.metrics import counted
from gateway.services.operations.status import Status, count_never_delivered, load_status
from gateway.services.reconciliation import drift
from gateway.services.reconciliation.differences import Cause, Resolution
from gateway.services.reconciliation.run import Figures, load_reconciliation_figures
from gateway.services.runtime import Gateway
from gateway.services.webhooks.endpoint_check import last_check

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
            found = list(gauges(gateway()))
        except DatabaseUnavailable:
            log.warning("metrics_without_database", exc_info=True)
            yield GaugeMetricFamily("gateway_database_up", "Whether the database answers.", 0)
            return
        yield GaugeMetricFamily("gateway_database_up", "Whether the database answers.", 1)
        yield from found


def gauges(parts: Gateway) -> Iterator[Metric]:
    """What the database says. Raises DatabaseUnavailable."""
    yield from work(load_status(parts))
    yield from reconciliation(load_reconciliation_figures(parts))
    yield GaugeMetricFamily(
        "gateway_inbox_events_never_delivered",
        "Stored events that no delivery has brought: the gap walk found them in Stripe's list.",
        count_never_delivered(parts),
    )
    if (check := last_check(parts)) is not None:
        yield GaugeMetricFamily(
            "gateway_webhook_endpoint_problem",
            "Whether something was wrong with the webhook endpoint at Stripe when it was last checked.",
            int(check.problem is not None),
        )


def work(now: Status) -> Iterator[Metric]:
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


def reconciliation(walks: Mapping[str, Figures]) -> Iterator[Metric]:
    """How the walks went. One that never finished did so in 1970, so that whoever alerts on its age is told."""
    finished = GaugeMetricFamily(
        "gateway_reconciliation_finished_timestamp_seconds", "End of the last finished walk.", labels=["walk"]
    )
    checked = GaugeMetricFamily(
        "gateway_reconciliation_checked_until_timestamp_seconds",
        "Stripe's time up to which all is checked.",
        labels=["walk"],
    )
    unfinished = GaugeMetricFamily(
        "gateway_reconciliation_unfinished_since_timestamp_seconds",
        "Start of a walk that has not ended.",
        labels=["walk"],
    )
    for walk, went in walks.items():
        finished.add_metric([walk], seconds(went.finished_at))
        checked.add_metric([walk], seconds(went.checked_until))
        if went.unfinished_since is not None:
            unfinished.add_metric([walk], seconds(went.unfinished_since))
    classes = GaugeMetricFamily(
        "gateway_reconciliation_differences", "What the last finished drift walk found.", labels=["class"]
    )
    outcomes = GaugeMetricFamily(
        "gateway_reconciliation_outcomes", "What became of these differences.", labels=["outcome"]
    )
    counts = walks[drift.KIND].counts
    for cause in Cause:
        classes.add_metric([cause], counts.get(cause, 0))
    for resolution in (Resolution.HEALED, Resolution.LEFT, Resolution.NOT_HEALED):  # dry runs store nothing
        outcomes.add_metric([resolution], counts.get(resolution, 0))
    yield from (finished, checked, unfinished, classes, outcomes)


def seconds(time: datetime | None) -> float:
    """In Unix time."""
    return time.timestamp() if time is not None else 0
