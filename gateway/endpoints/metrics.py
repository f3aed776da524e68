"""The metrics for Prometheus. They name no organization, no object and no secret."""

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import psycopg
import structlog
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.db.checks import load_result
from gateway.db.models import Check
from gateway.db.revision import is_migrated
from gateway.errors import DatabaseUnavailable
from gateway.metrics import render_counts
from gateway.services.notifications.records import ReceiverReport
from gateway.services.operations import catalog_check
from gateway.services.operations.modes import find_mode_problem
from gateway.services.operations.probe_results import load_last_run
from gateway.services.operations.status import Status, count_never_delivered, load_status, measure_free_disk
from gateway.services.reconciliation import drift
from gateway.services.reconciliation.differences import Cause, Resolution
from gateway.services.reconciliation.run import Figures, load_reconciliation_figures
from gateway.services.runtime import Gateway
from gateway.services.webhooks.endpoint_check import load_last_check
from gateway.services.webhooks.refusals import find_signature_problem

# If the database's host has vanished, a read takes longer than Prometheus waits for a scrape.
READ_TIMEOUT = 6.0  # seconds
READER = ThreadPoolExecutor(1, thread_name_prefix="metrics-reader")

log = structlog.get_logger()


def render(gateway: Gateway) -> bytes:
    """Return the counts of all processes and the gauges of the database."""
    registry = CollectorRegistry()
    registry.register(DatabaseGauges(gateway))
    return render_counts() + generate_latest(registry)


class DatabaseGauges(Collector):
    """Gauges that are read from the database on each request."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def collect(self) -> Iterator[Metric]:
        """Yield all gauges, or only that the database is unavailable."""
        reading = READER.submit(read, self._gateway)
        try:
            found = reading.result(READ_TIMEOUT)
        except (DatabaseUnavailable, TimeoutError):
            reading.cancel()
            log.warning("metrics_without_database", exc_info=True)
            yield database_up(is_up=False)
            return
        yield from found


def database_up(*, is_up: bool) -> Metric:
    """Return the gauge of the database's availability."""
    return GaugeMetricFamily("gateway_database_up", "Whether the database answers and accepts connections.", is_up)


def database_migrated(*, is_migrated: bool) -> Metric:
    """Return the gauge of the migrations."""
    text = "Whether the database has every migration of this release. Alert on 0."
    return GaugeMetricFamily("gateway_database_migrated", text, is_migrated)


def read(parts: Gateway) -> list[Metric]:
    """Return all gauges, or only those of the database if its tables are not this release's. Raise DatabaseUnavailable.

    A database that accepts no new connection still answers on those that a process has, until they end.
    """
    migrated = is_migrated(parts.database)
    found = [database_migrated(is_migrated=migrated), *(gauges(parts) if migrated else ())]
    try:
        parts.database.connect().close()
    except psycopg.OperationalError:
        log.warning("metrics_without_new_connection", exc_info=True)
        return [database_up(is_up=False), *found]
    return [database_up(is_up=True), *found]


def gauges(parts: Gateway) -> Iterator[Metric]:
    """Yield the gauges that the database holds. Raise DatabaseUnavailable."""
    yield from status_gauges(load_status(parts))
    yield from reconciliation_gauges(load_reconciliation_figures(parts))
    yield GaugeMetricFamily(
        "gateway_inbox_events_never_delivered",
        "Stored events that were never delivered. The gap walk found them in Stripe's list.",
        count_never_delivered(parts),
    )
    yield GaugeMetricFamily(
        "gateway_webhook_signature_problem",
        "Whether deliveries were refused for their signature and none was accepted since. Alert on 1.",
        int(find_signature_problem(parts) is not None),
    )
    yield GaugeMetricFamily(
        "gateway_mode_problem",
        "Whether a key, or one of the last events, is of the other mode of Stripe. Alert on 1.",
        int(find_mode_problem(parts) is not None),
    )
    yield GaugeMetricFamily(
        "gateway_disk_free_ratio", "Free part of the disk of this machine's temporary files.", measure_free_disk()
    )
    if (prices := load_result(parts.database, catalog_check.CHECK_NAME)) is not None:
        yield GaugeMetricFamily(
            "gateway_catalog_problem",
            "Whether the last check found prices at Stripe that differ from the catalogue. Alert on 1.",
            int(prices.problem is not None),
        )
    if (check := load_last_check(parts)) is not None:
        yield GaugeMetricFamily(
            "gateway_webhook_endpoint_problem",
            "Whether the last check found a problem with the webhook endpoint at Stripe.",
            int(check.problem is not None),
        )
    yield from probe_gauges(load_last_run(parts))


def probe_gauges(run: Iterable[Check]) -> Iterator[Metric]:
    """Yield what the last run of the probe measured. Yield nothing if it never ran."""
    seconds = GaugeMetricFamily(
        "gateway_probe_seconds", "Seconds until webhooks brought the probe's new plan.", labels=["step"]
    )
    problem = GaugeMetricFamily(
        "gateway_probe_problem", "Whether webhooks did not bring the probe's new plan. Alert on 1.", labels=["step"]
    )
    finished = GaugeMetricFamily(
        "gateway_probe_finished_timestamp_seconds", "End of the probe's step.", labels=["step"]
    )
    for each in run:
        step = [each.name.removeprefix("probe_")]
        problem.add_metric(step, int(each.problem is not None))
        finished.add_metric(step, unix_time(each.checked_at))
        if each.seconds is not None:
            seconds.add_metric(step, each.seconds)
    yield from (seconds, problem, finished)


def status_gauges(now: Status) -> Iterator[Metric]:
    """Yield the status as gauges."""
    events = GaugeMetricFamily("gateway_inbox_events", "Events that wait or need a person.", labels=["state"])
    for state, number in now.events.items():
        events.add_metric([state], number)
    changes = GaugeMetricFamily("gateway_plan_changes", "Plan changes that have not ended.", labels=["state"])
    for state, number in now.changes.items():
        changes.add_metric([state], number)
    jobs = GaugeMetricFamily("gateway_jobs", "Jobs that wait, run or have failed.", labels=["task", "status"])
    for labels, number in now.jobs.items():
        jobs.add_metric(labels, number)
    differing = GaugeMetricFamily(
        "gateway_invoices_differing",
        "Invoices of the last 31 days that differ from the charges calculated ahead, by what explains the difference.",
        labels=["cause"],
    )
    for cause, number in now.differing_invoices.items():
        differing.add_metric([cause], number)
    unfollowed = GaugeMetricFamily(
        "gateway_levels_not_followed",
        "Organizations that use more than the quantity they pay for, by why the quantity stays below the level.",
        labels=["code"],
    )
    for code, number in now.unfollowed_levels.items():
        unfollowed.add_metric([code], number)
    yield from (events, changes, jobs, differing, unfollowed)
    yield GaugeMetricFamily(
        "gateway_plan_changes_mischarged", "Plan changes charged otherwise than quoted. Alert on any.", now.mischarged
    )
    yield GaugeMetricFamily(
        "gateway_organizations_unmapped",
        "Organizations whose price is not in the catalogue. Alert on any.",
        now.unmapped,
    )
    yield GaugeMetricFamily(
        "gateway_inbox_lag_seconds", "Seconds since the longest waiting event became due.", now.lag.total_seconds()
    )
    yield GaugeMetricFamily(
        "gateway_organizations_locked",
        "Organizations whose events wait because another session keeps the organization locked. Alert if it stays.",
        len(now.locked),
    )
    yield GaugeMetricFamily(
        "gateway_sales_inquiries_undelivered",
        "Inquiries that sales' own system has not accepted.",
        now.undelivered_inquiries,
    )
    reports = GaugeMetricFamily(
        "gateway_usage_reports", "Usage reports that wait, or that Stripe refused. Alert on refused.", labels=["state"]
    )
    for state, number in now.usage.items():
        reports.add_metric([state], number)
    yield reports
    yield GaugeMetricFamily(
        "gateway_usage_lag_seconds",
        "Seconds since the longest waiting usage report became due.",
        now.usage_lag.total_seconds(),
    )
    yield from receiver_gauges(now.receivers)
    yield GaugeMetricFamily("gateway_jobs_stalled", "Running jobs whose worker was killed.", now.stalled_jobs)
    yield GaugeMetricFamily(
        "gateway_jobs_lag_seconds", "Seconds since the longest waiting job became due.", now.job_lag.total_seconds()
    )
    if now.periodic_age is not None:
        yield GaugeMetricFamily(
            "gateway_periodic_jobs_age_seconds",
            "Seconds since a worker last started a periodic job. One starts every minute.",
            now.periodic_age.total_seconds(),
        )
    yield GaugeMetricFamily("gateway_workers", "Workers with a recent heartbeat.", now.workers)
    yield GaugeMetricFamily(
        "gateway_worker_clocks_wrong",
        "Workers whose machine's clock differs from the database's. Alert on any.",
        len(now.wrong_clocks),
    )
    yield GaugeMetricFamily(
        "gateway_worker_connections_lost",
        "Workers whose listening connection was lost within the last seconds. Alert if it stays.",
        len(now.lost_connections),
    )
    yield GaugeMetricFamily(
        "gateway_stripe_breaker_open",
        "Whether a web process or worker has stopped calling Stripe because Stripe does not answer. Alert if it stays.",
        int(now.breaker_open),
    )


def receiver_gauges(receivers: Iterable[ReceiverReport]) -> Iterator[Metric]:
    """Yield how far the notifications have come, and which receivers are paused."""
    notifications = GaugeMetricFamily(
        "gateway_notifications", "Notifications that wait or were given up.", labels=["receiver", "state"]
    )
    paused = GaugeMetricFamily(
        "gateway_receiver_paused",
        "Whether a receiver has failed several times in a row. Alert on 1.",
        labels=["receiver"],
    )
    for each in receivers:
        notifications.add_metric([each.name, "waiting"], each.waiting)
        notifications.add_metric([each.name, "given_up"], each.given_up)
        paused.add_metric([each.name], int(each.is_paused))
    yield from (notifications, paused)


def reconciliation_gauges(walks: Mapping[str, Figures]) -> Iterator[Metric]:
    """Yield how the walks went. A walk that never finished reports 1970, so that an alert on its age fires."""
    finished = GaugeMetricFamily(
        "gateway_reconciliation_finished_timestamp_seconds", "End of the last finished walk.", labels=["walk"]
    )
    checked = GaugeMetricFamily(
        "gateway_reconciliation_checked_until_timestamp_seconds",
        "Everything before this time, on Stripe's clock, has been checked.",
        labels=["walk"],
    )
    unfinished = GaugeMetricFamily(
        "gateway_reconciliation_unfinished_since_timestamp_seconds",
        "Start of a walk that has not finished.",
        labels=["walk"],
    )
    for walk, went in walks.items():
        finished.add_metric([walk], unix_time(went.finished_at))
        checked.add_metric([walk], unix_time(went.checked_until))
        if went.unfinished_since is not None:
            unfinished.add_metric([walk], unix_time(went.unfinished_since))
    classes = GaugeMetricFamily(
        "gateway_reconciliation_differences", "Differences that the last finished drift walk found.", labels=["class"]
    )
    outcomes = GaugeMetricFamily(
        "gateway_reconciliation_outcomes", "Differences of that walk by their outcome.", labels=["outcome"]
    )
    counts = walks[drift.KIND].counts
    for cause in Cause:
        classes.add_metric([cause], counts.get(cause, 0))
    # WOULD_HEAL is left out. Only a dry run has it, and a dry run stores nothing.
    for resolution in (Resolution.HEALED, Resolution.LEFT, Resolution.NOT_HEALED):
        outcomes.add_metric([resolution], counts.get(resolution, 0))
    yield from (finished, checked, unfinished, classes, outcomes)


def unix_time(time: datetime | None) -> float:
    """Return a Unix time, or 0 for None."""
    return time.timestamp() if time is not None else 0
