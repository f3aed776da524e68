"""Send reports to Stripe's meters as v2 meter events, which Stripe validates before it answers.

https://docs.stripe.com/api/v2/billing/meter-event/create
"""

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from threading import Event
from types import MappingProxyType
from typing import Literal

import stripe
import structlog

from gateway.errors import DatabaseUnavailable, NotFound, StripeNotCalled, StripeRejected, StripeUnavailable
from gateway.services.rate_limits.stripe_budget import Priority, calling_as
from gateway.services.runtime import Gateway
from gateway.services.usage.claim import ClaimedReport, Reason, Sent, claim_reports, record_outcomes
from gateway.services.usage.summary import Verdict, compare_summary
from gateway.stripe_api.client import stripe_call

SENDERS = 4  # threads, because Stripe takes a tenth of a second to answer
LONGEST_RUN = 50  # seconds. The next run begins each minute.
IDENTIFIER_LIFETIME = timedelta(hours=23)
"""How long Stripe certainly refuses a repeated identifier. It says 24 hours. Afterwards it might count the event twice.

https://docs.stripe.com/api/v2/billing/meter-event/object
"""
COUNTED_BEFORE = "duplicate_meter_event"
REASONS: Mapping[str, Reason] = MappingProxyType(
    {
        "archived_meter": Reason.UNKNOWN_METER,
        "no_meter": Reason.UNKNOWN_METER,
        "meter_event_customer_not_found": Reason.UNKNOWN_CUSTOMER,
        "meter_event_no_customer_defined": Reason.UNKNOWN_CUSTOMER,
        "payload_no_customer_defined": Reason.UNKNOWN_CUSTOMER,
        "timestamp_in_future": Reason.TOO_FAR_AHEAD,
        "timestamp_too_far_in_past": Reason.TOO_OLD,
    }
)
"""Stripe's codes, from its answers and from its error reports. Any other one means ``Reason.OTHER``."""


log = structlog.get_logger()


def send_due_reports(gateway: Gateway, stopping: Event) -> int:
    """Run the job that sends all due reports, and return how many attempts it made."""
    attempts, ends = 0, time.monotonic() + LONGEST_RUN
    with ThreadPoolExecutor(SENDERS) as pool:
        while time.monotonic() < ends and not stopping.is_set() and (claimed := claim_reports(gateway)):
            record_outcomes(gateway, list(pool.map(partial(try_report, gateway), claimed)))
            attempts += len(claimed)
    return attempts


def send_all_reports(gateway: Gateway, organization_id: str) -> bool:
    """Send what an organization has used up to now. Return whether Stripe has counted or refused all of it.

    Web requests call this, and the worker's completion jobs. The gate bounds only the calling thread, so this sends one
    report after another. Reports for which no time is left are sent later.
    """
    ends = time.monotonic() + LONGEST_RUN
    while claimed := claim_reports(gateway, organization_id):
        outcomes = [
            try_report(gateway, each)
            if gateway.gate.has_time() and time.monotonic() < ends
            else Sent(report=each, error="No time was left.", uncertain_since=each.uncertain_since)
            for each in claimed
        ]
        record_outcomes(gateway, outcomes)
        if not all(each.state or each.reason for each in outcomes):
            return False
    return True


def try_report(gateway: Gateway, report: ClaimedReport) -> Sent:
    """Send one report. An unexpected error must not keep the outcomes of the others from being recorded."""
    try:
        return send_report(gateway, report)
    except DatabaseUnavailable:
        raise
    except Exception as error:  # recorded with the report, which is sent again later
        log.exception("usage_not_sent", report_id=str(report.id))
        since = report.uncertain_since or gateway.clock()
        return Sent(report=report, error=type(error).__name__, uncertain_since=since)


def send_report(gateway: Gateway, report: ClaimedReport) -> Sent:
    """Send one report to Stripe, unless Stripe has counted it already."""
    event_name = next((each.event_name for each in gateway.catalog.meters if each.key == report.meter), None)
    if event_name is None:
        return Sent(report=report, reason=Reason.UNKNOWN_METER, error="The catalogue has no such meter.")
    if report.customer_id is None:
        return Sent(report=report, reason=Reason.UNKNOWN_CUSTOMER, error="The customer was deleted at Stripe.")
    since = report.uncertain_since
    try:
        if is_identifier_forgotten(gateway, report):
            verdict = compare(gateway, report, event_name)
            if verdict is not Verdict.NOT_COUNTED or report.ended_by is not None:
                return read_verdict(report, verdict)
            since = None
        if not create_meter_event(gateway, report, event_name):
            return read_known(gateway, report, event_name)
    except StripeNotCalled as error:
        return Sent(report=report, error=error.detail, uncertain_since=since)
    except StripeUnavailable as error:
        return Sent(report=report, error=error.detail, uncertain_since=since or gateway.clock())
    except (StripeRejected, NotFound) as error:
        return read_refusal(report, error)
    return Sent(report=report, state="sent" if report.ended_by is None else "invoiced", moved_to=report.moved_to)


def create_meter_event(gateway: Gateway, report: ClaimedReport, event_name: str) -> bool:
    """Send the report. Return False if Stripe refused it because an earlier attempt has brought it there.

    Raise StripeRejected, NotFound, StripeNotCalled and StripeUnavailable.
    """
    try:
        with calling_as(Priority.METER_EVENT), stripe_call():
            gateway.stripe.v2.billing.meter_events.create(
                {
                    "event_name": event_name,
                    "identifier": report.identifier,
                    "payload": {"stripe_customer_id": report.customer_id or "", "value": str(report.quantity)},
                    "timestamp": report.counts_at.isoformat().replace("+00:00", "Z"),
                },
                {"idempotency_key": report.idempotency_key},
            )
    except (StripeRejected, NotFound) as error:
        if not is_duplicate(error):
            raise
        return False
    return True


def compare(gateway: Gateway, report: ClaimedReport, event_name: str) -> Verdict:
    """Ask Stripe's summaries whether and as of when Stripe has counted the report."""
    with calling_as(Priority.REFRESH):
        return compare_summary(gateway, report, event_name)


def read_known(gateway: Gateway, report: ClaimedReport, event_name: str) -> Sent:
    """Return the outcome for a report that an earlier attempt has brought to Stripe.

    Attempts from before the report was moved had another time. Only the summaries show which one counts.
    """
    if report.moved_to is None:
        return Sent(report=report, state="sent")
    verdict = compare(gateway, report, event_name)
    return read_verdict(report, verdict if verdict is Verdict.COUNTED else Verdict.UNCLEAR)


def read_verdict(report: ClaimedReport, verdict: Verdict) -> Sent:
    """Return the outcome of a look at Stripe's summaries, which has marked the report if Stripe has counted it.

    If Stripe has not counted the report, its plan has ended.
    """
    if verdict is Verdict.UNCLEAR:
        return Sent(report=report, error="Stripe's summary fits no outcome.", uncertain_since=report.uncertain_since)
    state: Literal["sent", "invoiced"] = "sent" if verdict is Verdict.COUNTED else "invoiced"
    return Sent(report=report, state=state, moved_to=report.moved_to)


def is_identifier_forgotten(gateway: Gateway, report: ClaimedReport) -> bool:
    """Return whether sending the report again might count it twice.

    The same value at the same time changes nothing for a meter that keeps the last value.
    """
    since = report.uncertain_since
    return report.aggregation != "last" and since is not None and gateway.clock() - since > IDENTIFIER_LIFETIME


def is_duplicate(error: StripeRejected | NotFound) -> bool:
    """Return whether Stripe refused a call because it has counted the report already."""
    return isinstance(error.__cause__, stripe.InvalidRequestError) and error.__cause__.code == COUNTED_BEFORE


def read_refusal(report: ClaimedReport, error: StripeRejected | NotFound) -> Sent:
    """Return the outcome of a call that Stripe refused."""
    cause = error.__cause__
    if not isinstance(cause, stripe.InvalidRequestError):  # a wrong key, for example, which an operator will replace
        return Sent(report=report, error=error.detail, uncertain_since=report.uncertain_since)
    text = f"{cause.code}: {error.detail}"[:500]
    return Sent(report=report, reason=REASONS.get(cause.code or "", Reason.OTHER), error=text)
