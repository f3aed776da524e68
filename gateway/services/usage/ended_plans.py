"""The usage of a plan that an organization has left. Stripe bills none of it after it has removed the metered items.

Of such usage, only a report that Stripe may have billed in an earlier period is sent again.
``plan_changes.unbilled_usage`` bills what Stripe has not billed.
"""

import uuid
from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

from gateway.db.models import PlanChange
from gateway.services.plan_table.foreign_ends import FOREIGN_ACTOR
from gateway.services.usage.aggregation import COUNTS_AT, LONGEST_DELAY, add_up

# Stripe bills the period in which it removes the items. It has billed the period before with the renewal.
SINCE = """CASE WHEN change.ended_at >= CAST(change.steps -> 'final_usage' ->> 'end' AS timestamptz)
    THEN CAST(change.steps -> 'final_usage' ->> 'end' AS timestamptz)
    ELSE CAST(change.steps -> 'final_usage' ->> 'start' AS timestamptz) END"""
BEGAN_AT = "LEAST(begun.began_at, begun.recorded_at)"
# The organization may have bought a plan again, and left it again. So no such purchase lies between report and change.
# A purchase counts from the start of its second, as in ``timeline``. A trial, whose usage is free, does not end between
# them either. Unsent usage of an earlier period belongs to the change, because Stripe has invoiced that period. A value
# that a later one has replaced does not count. Usage after an end that somebody else made costs nothing, also if the
# gateway learned of that end late. A report that has usage of both times counts, so that none is lost.
IS_OF_CHANGE = f"""report.organization_id = change.organization_id
    AND (change.actor <> '{FOREIGN_ACTOR}' OR report.starts_at <= change.ended_at)
    AND report.starts_at > {SINCE} - interval '{LONGEST_DELAY.days} days'
    AND ({COUNTS_AT} >= {SINCE} OR (report.state <> 'sent' AND report.aggregation <> 'last'))
    AND NOT EXISTS (
        SELECT FROM plan_history AS begun WHERE begun.organization_id = change.organization_id
            AND CASE WHEN {BEGAN_AT} <= change.created_at
                THEN date_trunc('second', {BEGAN_AT}) > report.occurred_at
                ELSE date_trunc('second', {BEGAN_AT}) <= report.occurred_at END
            AND begun.after ->> 'requested_plan' <> :floor
            AND (COALESCE(begun.before ->> 'requested_plan', :floor) = :floor
                OR (begun.before ->> 'status' = 'trialing' AND begun.after ->> 'status' <> 'trialing'))
    )"""  # nosec B608 - the expression is ours
# Stripe may have counted the report in an earlier period, and then it has billed it there.
MAY_BE_BILLED = f"(report.uncertain_since IS NOT NULL AND report.occurred_at < {SINCE})"
FIND_ENDED = text(f"""
    SELECT report.id, change.id AS change_id, {MAY_BE_BILLED} AS may_be_billed
    FROM usage_reports AS report JOIN plan_changes AS change ON {IS_OF_CHANGE}
    WHERE report.id = ANY(CAST(:ids AS uuid[])) AND change.state = 'applied' AND change.steps ? 'final_usage'
""")  # nosec B608  # noqa: S608 - the conditions are ours
# Their outcome is unknown, and only one that Stripe may have billed in an earlier period is sent again. An open report
# may get further events, and is claimed later. Sorted, as every statement that locks several reports is.
TAKE_BACK = text(f"""
    WITH unsent AS (
        SELECT report.id FROM usage_reports AS report JOIN plan_changes AS change ON {IS_OF_CHANGE}
        WHERE change.id = :change_id AND report.state = 'sending' AND NOT {MAY_BE_BILLED}
        ORDER BY report.id FOR UPDATE OF report
    )
    UPDATE usage_reports SET state = 'invoiced', ended_at = :now, uncertain_since = NULL
    FROM unsent WHERE usage_reports.id = unsent.id
""")  # nosec B608  # noqa: S608 - the conditions are ours
SUM_USAGE = text(f"""
    SELECT meter, {add_up()} AS quantity FROM (
        SELECT report.* FROM usage_reports AS report JOIN plan_changes AS change ON {IS_OF_CHANGE}
        WHERE change.id = :change_id AND report.state IN ('sent', 'invoiced')
            AND ({COUNTS_AT} >= :since OR ({COUNTS_AT} < {SINCE} AND report.state = 'invoiced'))
    ) AS used GROUP BY meter, aggregation
""")  # nosec B608  # noqa: S608 - the expressions are ours


class Ended(NamedTuple):
    """The change that ended a report's plan."""

    change_id: str
    may_be_billed: bool
    """Whether only Stripe knows if it has counted the report in an earlier period, and billed it there."""


def find_ended(session: Session, report_ids: Collection[uuid.UUID], floor: str) -> dict[uuid.UUID, Ended]:
    """Return the reports whose plan the organization has left, each with the change that ended the plan.

    The caller has locked the reports.
    """
    rows = session.execute(FIND_ENDED, {"ids": list(report_ids), "floor": floor})
    return {row.id: Ended(row.change_id, row.may_be_billed) for row in rows}


def take_back(session: Session, change: PlanChange, floor: str, now: datetime) -> None:
    """Mark the usage of the plan's last period that is in flight, so that it is not sent again."""
    session.execute(TAKE_BACK, {"change_id": change.id, "floor": floor, "now": now})


def sum_usage(session: Session, change: PlanChange, floor: str, since: datetime) -> dict[str, int]:
    """Return the usage that the plan's last period bills by meter, as far as it counts since a moment."""
    rows = session.execute(SUM_USAGE, {"change_id": change.id, "floor": floor, "since": since})
    return {row.meter: int(row.quantity) for row in rows}
