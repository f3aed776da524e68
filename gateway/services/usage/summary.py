"""Find out from Stripe's summaries what Stripe has counted.

https://docs.stripe.com/api/billing/meter-event-summary
"""

from datetime import datetime, timedelta
from enum import Enum, auto

import structlog
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from gateway.db.models import UNSENT, UsageReport
from gateway.errors import NotFound, StripeRejected, StripeUnavailable
from gateway.services.runtime import Gateway
from gateway.services.usage.aggregation import COUNTS_AT, LONGEST_DELAY, add_up
from gateway.services.usage.claim import ClaimedReport, mark_sent
from gateway.stripe_api.client import stripe_call
from gateway.stripe_api.times import from_unix, to_unix

MINUTE = 60  # seconds. Summaries begin and end at whole minutes.
AHEAD = timedelta(minutes=5)  # how far ahead usage may occur
SUM_SENT = text(f"""
    SELECT meter, aggregation, {add_up()} AS quantity,
        (SELECT stripe_customer_id FROM organizations WHERE organizations.id = :organization_id) AS customer_id
    FROM usage_reports
    WHERE organization_id = :organization_id AND state = 'sent' AND {COUNTS_AT} >= :since
        AND starts_at > CAST(:since AS timestamptz) - interval '{LONGEST_DELAY.days} days'
    GROUP BY meter, aggregation
""")  # nosec B608  # noqa: S608 - the expressions are ours

HAS_USAGE = text(f"""
    SELECT EXISTS (SELECT FROM usage_reports WHERE organization_id = :organization_id AND {UNSENT.text})
        OR EXISTS (SELECT FROM usage_reports WHERE organization_id = :organization_id AND state = 'sent'
            AND {COUNTS_AT} >= CAST(:since AS timestamptz)
            AND starts_at > CAST(:since AS timestamptz) - interval '{LONGEST_DELAY.days} days')
""")  # nosec B608  # noqa: S608 - the expressions are ours

log = structlog.get_logger()


class Verdict(Enum):
    """What a summary shows of a report."""

    COUNTED = auto()
    NOT_COUNTED = auto()
    UNCLEAR = auto()
    """The summary fits neither, for example while Stripe is late."""


def compare_summary(gateway: Gateway, report: ClaimedReport, event_name: str) -> Verdict:
    """Compare Stripe's sum of the report's minute with the reports that Stripe has counted.

    A report that was moved may have been sent before, too. So both minutes are compared. If Stripe has counted the
    report, mark it as sent. Raise StripeUnavailable, StripeRejected and NotFound.
    """
    minutes = {to_unix(each) // MINUTE * MINUTE for each in (report.occurred_at, report.counts_at)}
    verdicts = {compare_minute(gateway, report, event_name, begin) for begin in sorted(minutes)}
    if Verdict.COUNTED in verdicts:
        return Verdict.COUNTED
    return Verdict.NOT_COUNTED if verdicts == {Verdict.NOT_COUNTED} else Verdict.UNCLEAR


def compare_minute(gateway: Gateway, report: ClaimedReport, event_name: str, begin: int) -> Verdict:
    """Do what ``compare_summary`` does for the minute that begins at ``begin``."""
    meter_id = list_meter_ids(gateway).get(event_name)
    if meter_id is None or report.customer_id is None:
        return Verdict.NOT_COUNTED  # sending it shows what Stripe says about it
    counted = read_summary(gateway, meter_id, report.customer_id, begin, begin + MINUTE)
    with gateway.database.transaction() as session:
        known = lock_and_sum(session, report, begin)
        if counted >= known + report.quantity:
            is_moved = begin != to_unix(report.occurred_at) // MINUTE * MINUTE
            mark_sent(session, report.id, report.moved_to if is_moved else None, gateway.clock())
            return Verdict.COUNTED
    return Verdict.NOT_COUNTED if counted == known else Verdict.UNCLEAR


def list_meter_ids(gateway: Gateway) -> dict[str, str]:
    """Return the ids of Stripe's active meters by the names of their events."""
    with stripe_call():
        meters = gateway.stripe.v1.billing.meters.list({"status": "active", "limit": 100}).auto_paging_iter()
        return {each.event_name: each.id for each in meters}


def read_summary(gateway: Gateway, meter_id: str, customer_id: str, begin: int, end: int) -> float:
    """Return what Stripe has counted between two whole minutes."""
    with stripe_call():
        summaries = gateway.stripe.v1.billing.meters.event_summaries.list(
            meter_id, {"customer": customer_id, "start_time": begin, "end_time": end}
        )
        return sum(each.aggregated_value for each in summaries.data)


def has_usage(gateway: Gateway, organization_id: str, since: datetime | None) -> bool:
    """Return whether the organization has usage to send, or, with ``since``, usage since then that was sent."""
    [(found,)] = gateway.database.fetch(HAS_USAGE, {"organization_id": organization_id, "since": since})
    return bool(found)


def has_counted(gateway: Gateway, organization_id: str, since: datetime) -> bool:
    """Return whether Stripe's summaries contain all usage since then that was sent. False if Stripe does not say.

    Another program may send usage of the same meter. So Stripe may have counted more, unless the last value counts.
    """
    begin = to_unix(since) // MINUTE * MINUTE
    end = to_unix(gateway.clock() + AHEAD) // MINUTE * MINUTE + MINUTE
    values = {"organization_id": organization_id, "since": from_unix(begin)}
    sent = list(gateway.database.fetch(SUM_SENT, values))
    if not sent:
        return True
    event_names = {each.key: each.event_name for each in gateway.catalog.meters}
    try:
        meter_ids = list_meter_ids(gateway)
        for row in sent:
            meter_id = meter_ids.get(event_names.get(row.meter, ""))
            if meter_id is None:  # Stripe bills no usage of such a meter
                continue
            counted = read_summary(gateway, meter_id, row.customer_id, begin, end)
            if counted < row.quantity or (row.aggregation == "last" and counted != row.quantity):
                return False
    except (NotFound, StripeRejected, StripeUnavailable):
        log.warning("usage_summary_not_read", organization_id=organization_id, exc_info=True)
        return False
    return True


def lock_and_sum(session: Session, report: ClaimedReport, begin: int) -> int:
    """Return the sum that Stripe has certainly counted in the minute.

    The lock makes another comparison of the same minute wait. Otherwise two uncertain reports could both take the same
    usage at Stripe for their own.
    """
    key = f"usage:{report.organization_id}:{report.meter}:{begin}"
    session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(key, 0))))
    counts_at = func.coalesce(UsageReport.moved_to, UsageReport.occurred_at)
    query = select(func.coalesce(func.sum(UsageReport.quantity), 0)).where(
        UsageReport.organization_id == report.organization_id,
        UsageReport.starts_at < from_unix(begin + MINUTE),
        UsageReport.starts_at > from_unix(begin) - LONGEST_DELAY,
        counts_at >= from_unix(begin),
        counts_at < from_unix(begin + MINUTE),
        UsageReport.meter == report.meter,
        UsageReport.state == "sent",
    )
    return int(session.scalars(query).one())
