"""Thin events, which say that something happened and carry no data. Each one queues a job that retrieves the data.

https://docs.stripe.com/event-destinations#thin-events
"""

from collections.abc import Mapping
from types import MappingProxyType

from gateway.db import jobs

TASKS: Mapping[str, str] = MappingProxyType(
    {
        "v1.billing.meter.error_report_triggered": jobs.NOTE_REFUSED_USAGE,
        "v1.billing.meter.no_meter_found": jobs.NOTE_REFUSED_USAGE,
    }
)
"""The task of each type of thin event. ``usage.error_reports.note_refused_usage`` runs in both."""


def build_job(event_id: str, event_type: str) -> jobs.Wanted:
    """Build the job of a thin event."""
    return jobs.Wanted(f"thin_event:{event_id}", TASKS[event_type], {"event_id": event_id})
