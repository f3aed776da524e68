"""Add the events that Stripe sent to the traces of the plan changes that they show."""

from collections.abc import Mapping
from datetime import timedelta

from sqlalchemy import select

from gateway import telemetry
from gateway.db.models import PlanChange, PlanHistory, WebhookEvent
from gateway.db.queries import among
from gateway.services.runtime import Gateway

# The subscription names its last change for ever. A renewal months later belongs to no trace.
RECENTLY = timedelta(hours=1)


def trace_events(gateway: Gateway, shown: Mapping[str, str]) -> None:
    """Record each event, and the row of the plan table that it brought, as spans of its change's trace.

    ``shown`` names the event by the change. The events are merged and committed.
    """
    if not shown or not telemetry.is_on():
        return
    now = gateway.clock()
    changes = select(PlanChange.id, PlanChange.organization_id, PlanChange.traceparent).where(
        among(PlanChange.id, shown), PlanChange.traceparent.is_not(None), PlanChange.created_at > now - RECENTLY
    )
    with gateway.database.reading() as session:
        for change_id, organization_id, traceparent in session.execute(changes).all():
            event_id = shown[change_id]
            received = session.scalars(select(WebhookEvent.received_at).where(WebhookEvent.id == event_id)).one()
            event = telemetry.record_span("event", traceparent, received, now, event_id=event_id, change_id=change_id)
            brought = select(PlanHistory).where(
                PlanHistory.organization_id == organization_id, PlanHistory.cause == event_id
            )
            for entry in session.scalars(brought):
                written, plan = entry.recorded_at, entry.after["plan"]
                telemetry.record_span("plan_row", event, written, written, version=entry.version, plan=plan)
