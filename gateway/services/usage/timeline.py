"""The times at which an organization's billing period or plan changed. No report adds up usage across one of them.

Usage counts in whole seconds, like Stripe's periods. A plan is in force from the second in which it was recorded until
the second in which the next one was. So each second belongs to one plan, and the sum over all plans is complete. If the
gateway learned of a plan late, it is in force from the second in which Stripe began to bill its usage.
"""

from bisect import bisect_right
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import text

from gateway.services.runtime import Gateway

# Finds each organization's plans since the time, and the one that was in force at that time. Beside a yearly price,
# usage is billed each month. So it also finds the periods of the items, which have no plan and no time of record.
FIND_PLANS = text("""
    SELECT wanted.id, date_trunc('second', plan.began_at) AS since, plan.state ->> 'requested_plan' AS plan,
        CAST(plan.state ->> 'current_period_start' AS timestamptz) AS period_start,
        CAST(plan.state ->> 'current_period_end' AS timestamptz) AS period_end,
        COALESCE(CAST(plan.state ->> 'leaving' AS boolean), FALSE) AS leaving
    FROM unnest(CAST(:organization_ids AS text[])) AS wanted (id) CROSS JOIN LATERAL (
        (SELECT version, LEAST(began_at, recorded_at) AS began_at, after AS state FROM plan_history
            WHERE organization_id = wanted.id AND recorded_at > :since)
        UNION ALL
        (SELECT version, LEAST(began_at, recorded_at), after FROM plan_history
            WHERE organization_id = wanted.id AND recorded_at <= :since ORDER BY version DESC LIMIT 1)
        UNION ALL
        (SELECT NULL, NULL, item FROM subscriptions, jsonb_array_elements(items) AS item
            WHERE organization_id = wanted.id)
    ) AS plan
    ORDER BY wanted.id, plan.version
""")


@dataclass
class Timeline:
    """The plans of one organization, each with the time from which it was in force, and the times no report crosses."""

    since: list[datetime] = field(default_factory=list)
    plans: list[str] = field(default_factory=list)
    boundaries: list[datetime] = field(default_factory=list)

    def find_plan(self, moment: datetime) -> str | None:
        """Return the plan of the subscription at ``moment``, or None if there was no subscription yet.

        It is the floor plan from the moment at which the organization left its plan, although Stripe changes it later.
        """
        position = bisect_right(self.since, moment)
        return self.plans[position - 1] if position else None

    def find_start(self, moment: datetime) -> datetime:
        """Return the start of the part of an hour to which ``moment`` belongs."""
        hour = moment.replace(minute=0, second=0, microsecond=0)
        position = bisect_right(self.boundaries, moment)
        return max(hour, self.boundaries[position - 1]) if position else hour


def load_timelines(gateway: Gateway, organization_ids: Collection[str], since: datetime) -> dict[str, Timeline]:
    """Return the timelines of the organizations from ``since`` on."""
    timelines = {each: Timeline() for each in organization_ids}
    rows = gateway.database.fetch(FIND_PLANS, {"organization_ids": list(organization_ids), "since": since})
    for row in rows:
        timeline = timelines[row.id]
        if row.since is not None:
            timeline.since.append(row.since)
            timeline.plans.append(gateway.catalog.floor.key if row.leaving else row.plan)
        times = (row.since, row.period_start, row.period_end)
        timeline.boundaries += [each for each in times if each is not None]
    for timeline in timelines.values():
        timeline.boundaries.sort()
    return timelines
