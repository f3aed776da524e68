"""Usage that arrives after its period was invoiced. It counts in the present period, because no invoice is left for it.

Until Stripe finalizes an invoice, the invoice takes usage of its period. Later Stripe still accepts such usage, and
bills it never. https://docs.stripe.com/billing/subscriptions/usage-based/configure-grace-period
"""

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

from gateway.db.models import UsageReport
from gateway.stripe_api.snapshots import ENDED

DRAFT_TAKES_USAGE = timedelta(minutes=45)
"""How long after its creation a draft certainly takes usage. Stripe finalizes it after an hour, and counts slowly."""

# The present period of each running subscription with metered items, and since when its invoices take usage. The last
# period's draft still takes some. Lines that Stripe has not shown are a JSON null.
FIND_PERIODS = text("""
    SELECT subscriptions.organization_id, period.starts_at, subscriptions.trial_end, LEAST(period.starts_at, (
        SELECT min(CAST(line -> 'period' ->> 'start' AS timestamptz))
        FROM invoices, jsonb_path_query(invoices.lines, '$[*] ? (@.kind == "usage")') AS line
        WHERE invoices.organization_id = subscriptions.organization_id AND invoices.created > :since
            AND invoices.subscription_id = subscriptions.id AND invoices.status = 'draft'
    )) AS open_since
    FROM subscriptions CROSS JOIN LATERAL (
        SELECT max(CAST(item ->> 'current_period_start' AS timestamptz)) AS starts_at
        FROM jsonb_array_elements(subscriptions.items) AS item WHERE CAST(item ->> 'metered' AS boolean)
    ) AS period
    WHERE subscriptions.organization_id = ANY(CAST(:ids AS text[]))
        AND subscriptions.status <> ALL(CAST(:ended AS text[])) AND period.starts_at IS NOT NULL
""")


def move_late_reports(session: Session, reports: Collection[UsageReport], now: datetime) -> None:
    """Let the reports that no invoice takes any more count from now on. The caller has locked them.

    A late value of a meter that keeps the last value does not count, because a later value has replaced it. The usage
    of a trial is free.
    """
    values = {
        "ids": sorted({each.organization_id for each in reports}),
        "since": now - DRAFT_TAKES_USAGE,
        "ended": sorted(ENDED),
    }
    # Stripe bills the usage of a customer with each of its metered subscriptions. The current one may have no meter.
    periods = defaultdict(list)
    for row in session.execute(FIND_PERIODS, values):
        periods[row.organization_id].append(row)
    for report in reports:
        own = periods[report.organization_id]
        if not own or report.aggregation == "last":
            continue
        is_free = all(each.trial_end is not None and report.occurred_at < each.trial_end for each in own)
        taker = min(own, key=lambda each: each.open_since)
        if report.counts_at < taker.open_since and not is_free:
            report.moved_to = max(now.replace(microsecond=0), taker.starts_at)  # our clock may be behind Stripe's
