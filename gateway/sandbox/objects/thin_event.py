"""Builders of thin events (https://docs.stripe.com/api/v2/core/events/object)."""

from datetime import UTC, datetime

from gateway.sandbox.json_types import Json
from gateway.sandbox.work import THIN, Work


def iso(seconds: int) -> str:
    """Return a time as Stripe's v2 writes it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def error_report(work: Work, meter: str, code: str, sample: Json) -> Json:
    """Return the report on one refused meter event. Stripe joins the refusals of some minutes in one report.

    https://docs.stripe.com/billing/subscriptions/usage-based/recording-usage-api#handle-meter-event-errors
    """
    error = {"code": code, "error_count": 1, "sample_errors": [sample]}
    return {
        "id": work.ids.new("evt_test"),
        "object": THIN,
        "changes": None,
        "context": None,
        "created": iso(work.now),
        "data": {
            "developer_message_summary": f"There is 1 invalid event: {sample['error_message']}",
            "reason": {"error_count": 1, "error_types": [error]},
            "validation_end": iso(work.now),
            "validation_start": iso(work.now),
        },
        "livemode": False,
        "reason": None,
        "related_object": {"id": meter, "type": "billing.meter", "url": f"/v1/billing/meters/{meter}"},
        "snapshot_event": None,
        "type": "v1.billing.meter.error_report_triggered",
    }
