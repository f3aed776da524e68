"""Find out from Stripe's summaries whether Stripe has counted a report whose outcome is unknown.

https://docs.stripe.com/api/billing/meter-event-summary
"""

from enum import Enum, auto

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from gateway.db.models import UsageReport
from gateway.services.runtime import Gateway
from gateway.services.usage.claim import ClaimedReport, mark_sent
from gateway.stripe_api.client import stripe_call
from gateway.stripe_api.times import from_unix, to_unix

MINUTE = 60  # seconds. Summaries begin and end at whole minutes.


class Verdict(Enum):
    """What a summary shows of a report."""

    COUNTED = auto()
    NOT_COUNTED = auto()
    UNCLEAR = auto()
    """The summary fits neither, for example while Stripe is late."""


def compare_summary(gateway: Gateway, report: ClaimedReport, event_name: str) -> Verdict:
    """Compare Stripe's sum of the report's minute with the reports that Stripe has counted.

    If the report is among them, mark it as sent. Raises StripeUnavailable, StripeRejected and NotFound.
    """
    begin = to_unix(report.occurred_at) // MINUTE * MINUTE
    with stripe_call():
        meters = gateway.stripe.v1.billing.meters.list({"status": "active", "limit": 100}).auto_paging_iter()
        meter_id = next((each.id for each in meters if each.event_name == event_name), None)
        if meter_id is None or report.customer_id is None:
            return Verdict.NOT_COUNTED  # sending it shows what Stripe says about it
        summaries = gateway.stripe.v1.billing.meters.event_summaries.list(
            meter_id, {"customer": report.customer_id, "start_time": begin, "end_time": begin + MINUTE}
        )
        counted = sum(each.aggregated_value for each in summaries.data)
    with gateway.database.transaction() as session:
        known = lock_and_sum(session, report, begin)
        if counted >= known + report.quantity:
            mark_sent(session, report.id, gateway.clock())
            return Verdict.COUNTED
    return Verdict.NOT_COUNTED if counted == known else Verdict.UNCLEAR


def lock_and_sum(session: Session, report: ClaimedReport, begin: int) -> int:
    """Return the sum that Stripe has certainly counted in the minute.

    The lock makes another comparison of the same minute wait. Otherwise two uncertain reports could both take the same
    usage at Stripe for their own.
    """
    key = f"usage:{report.organization_id}:{report.meter}:{begin}"
    session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(key, 0))))
    query = select(func.coalesce(func.sum(UsageReport.quantity), 0)).where(
        UsageReport.organization_id == report.organization_id,
        UsageReport.starts_at <= report.occurred_at,
        UsageReport.starts_at > from_unix(begin - 3600),
        UsageReport.occurred_at >= from_unix(begin),
        UsageReport.occurred_at < from_unix(begin + MINUTE),
        UsageReport.meter == report.meter,
        UsageReport.state == "sent",
    )
    return int(session.scalars(query).one())
