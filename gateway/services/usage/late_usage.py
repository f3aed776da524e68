"""Usage that arrives after its period was invoiced. It counts in the present period, because no invoice is left for it.

Until Stripe finalizes an invoice, the invoice takes usage of its period. Later Stripe still accepts such usage, and
bills it never. https://docs.stripe.com/billing/subscriptions/usage-based/configure-grace-period
"""

from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

from gateway.db.models import UsageReport

DRAFT_TAKES_USAGE = timedelta(minutes=45)
"""How long after its creation a draft certainly takes usage. Stripe finalizes it after an hour, and counts slowly."""

# The present period of each organization's metered items, and what the drafts of their last period bill. Lines that
# Stripe has not shown are a JSON null.
FIND_PERIODS = text("""
    SELECT plan.organization_id, period.starts_at, subscriptions.trial_end, (
        SELECT min(CAST(line -> 'period' ->> 'start' AS timestamptz))
        FROM invoices, jsonb_path_query(invoices.lines, '$[*] ? (@.kind == "usage")') AS line
        WHERE invoices.organization_id = plan.organization_id AND invoices.created > :since
            AND invoices.subscription_id = subscriptions.id AND invoices.status = 'draft'
    ) AS draft_starts_at
    FROM organization_plans AS plan JOIN subscriptions ON subscriptions.id = plan.subscription_id
    CROSS JOIN LATERAL (
        SELECT max(CAST(item ->> 'current_period_start' AS timestamptz)) AS starts_at
        FROM jsonb_array_elements(subscriptions.items) AS item WHERE CAST(item ->> 'metered' AS boolean)
    ) AS period
    WHERE plan.organization_id = ANY(CAST(:ids AS text[])) AND period.starts_at IS NOT NULL
""")


def move_late_reports(session: Session, reports: Collection[UsageReport], now: datetime) -> None:
    """Let the reports that no invoice takes any more count from now on. The caller has locked them.

    A late value of a meter that keeps the last value does not count, because a later value has replaced it. The usage
    of a trial is free.
    """
    values = {"ids": sorted({each.organization_id for each in reports}), "since": now - DRAFT_TAKES_USAGE}
    periods = {row.organization_id: row for row in session.execute(FIND_PERIODS, values)}
    for report in reports:
        period = periods.get(report.organization_id)
        if period is None or report.aggregation == "last":
            continue
        is_free = period.trial_end is not None and report.occurred_at < period.trial_end
        open_since = min(period.starts_at, period.draft_starts_at or period.starts_at)
        if report.counts_at < open_since and not is_free:
            report.moved_to = max(now.replace(microsecond=0), period.starts_at)  # our clock may be behind Stripe's
