"""Bill the usage since a plan began at Stripe, if the gateway learned of the plan later.

Until then, the gateway stored the usage as that of the floor plan, which it never sends. A report may also hold usage
of the time before the plan. That part stays unbilled.
"""

import uuid
from datetime import datetime

import structlog
from sqlalchemy import text
from sqlalchemy.orm import Session

from gateway.services.runtime import Gateway
from gateway.services.usage.record import NEWEST

# From when until when the plan was in force. Later entries show its end.
FIND_SPAN = text("""
    SELECT date_trunc('second', entry.began_at) AS since, (
        SELECT date_trunc('second', min(LEAST(later.began_at, later.recorded_at))) FROM plan_history AS later
        WHERE later.organization_id = entry.organization_id AND later.version > entry.version AND (
            later.after ->> 'requested_plan' = :floor OR CAST(later.after ->> 'leaving' AS boolean))
    ) AS until
    FROM plan_history AS entry WHERE entry.organization_id = :organization_id AND entry.version = :version
""")
# Sorted, as every statement that locks several reports is.
LOCK = text("""
    SELECT id, starts_at, occurred_at FROM usage_reports
    WHERE organization_id = :organization_id AND state = 'not_billed'
        AND starts_at > CAST(:since AS timestamptz) - interval '1 hour' AND starts_at < :until AND occurred_at >= :since
    ORDER BY id FOR UPDATE
""")
OPEN = text("""
    UPDATE usage_reports SET state = 'open', next_attempt_at = :now WHERE id = ANY(CAST(:ids AS uuid[]))
""")
WANTED = "unnest(CAST(:ids AS uuid[]), CAST(:new_ids AS uuid[])) AS wanted (id, new_id)"
# The times let PostgreSQL use the index.
MOVE_EVENTS = text(f"""
    UPDATE usage_events SET report_id = wanted.new_id FROM {WANTED}
    WHERE report_id = wanted.id AND occurred_at >= :since AND occurred_at < :until AND occurred_at <= :last
""")  # nosec B608  # noqa: S608 - the expression is ours
SUMS = """max(event.occurred_at) AS occurred_at, count(*) AS events,
        CASE report.aggregation WHEN 'sum' THEN sum(event.quantity) WHEN 'count' THEN count(*)
            ELSE (array_agg(event.quantity ORDER BY event.occurred_at DESC, event.id DESC))[1] END AS quantity"""
ADD_REPORTS = text(f"""
    INSERT INTO usage_reports (id, organization_id, meter, aggregation, starts_at, state, next_attempt_at,
        occurred_at, events, quantity)
    SELECT wanted.new_id, report.organization_id, report.meter, report.aggregation, GREATEST(report.starts_at, :since),
        'open', :now, {SUMS}
    FROM {WANTED} JOIN usage_reports AS report USING (id)
        JOIN usage_events AS event ON event.report_id = wanted.new_id
    WHERE event.occurred_at BETWEEN :first AND :last
    GROUP BY wanted.new_id, report.id
""")  # nosec B608  # noqa: S608 - the expressions are ours
KEEP_REST = text(f"""
    UPDATE usage_reports SET occurred_at = rest.occurred_at, events = rest.events, quantity = rest.quantity
    FROM (
        SELECT report.id, {SUMS}
        FROM usage_reports AS report JOIN usage_events AS event ON event.report_id = report.id
        WHERE report.id = ANY(CAST(:ids AS uuid[])) AND event.occurred_at BETWEEN :first AND :last
        GROUP BY report.id
    ) AS rest WHERE usage_reports.id = rest.id
    RETURNING usage_reports.id
""")  # nosec B608  # noqa: S608 - the expressions are ours
DELETE_REPORTS = text("DELETE FROM usage_reports WHERE id = ANY(CAST(:ids AS uuid[]))")

log = structlog.get_logger()


def recount_usage(gateway: Gateway, organization_id: str, version: int) -> None:
    """Run the job that bills the usage since the plan of a history's entry began. A repeated run changes nothing.

    The reports become due. From then on, they are like those of usage that arrives now.
    """
    now = gateway.clock()
    values = {"organization_id": organization_id, "version": version, "floor": gateway.catalog.floor.key}
    with gateway.database.transaction() as session:
        span = session.execute(FIND_SPAN, values).one()
        until = span.until or now + NEWEST
        found = session.execute(LOCK, {"organization_id": organization_id, "since": span.since, "until": until}).all()
        whole = [each.id for each in found if each.starts_at >= span.since and each.occurred_at < until]
        session.execute(OPEN, {"ids": whole, "now": now})
        if mixed := [each for each in found if each.id not in whole]:
            first, last = min(each.starts_at for each in mixed), max(each.occurred_at for each in mixed)
            bounds = {"since": span.since, "until": until, "first": first, "last": last}
            split_reports(session, [each.id for each in mixed], bounds, now)
    if found:
        log.info("usage_recounted", organization_id=organization_id, reports=len(found), since=span.since)


def split_reports(session: Session, ids: list[uuid.UUID], bounds: dict[str, datetime], now: datetime) -> None:
    """Move the events of the plan's time from each report to a new one. The caller has locked the reports."""
    values = {**bounds, "ids": ids, "new_ids": [uuid.uuid4() for _ in ids], "now": now}
    session.execute(MOVE_EVENTS, values)
    session.execute(ADD_REPORTS, values)
    kept = set(session.scalars(KEEP_REST, values))
    session.execute(DELETE_REPORTS, {"ids": [each for each in ids if each not in kept]})
