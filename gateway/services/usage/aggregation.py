"""How SQL adds up usage reports by a meter's aggregation.

https://docs.stripe.com/billing/subscriptions/usage-based/meters/configure
"""

from datetime import timedelta

COUNTS_AT = "COALESCE(moved_to, occurred_at)"
"""The expression for the time at which Stripe counts a report, as ``UsageReport.counts_at`` has it."""
LONGEST_DELAY = timedelta(days=36)
"""How long before that time the hour of a report begins at most. Usage of more than 35 days ago is not stored."""


def add_up(condition: str = "TRUE") -> str:
    """Return the expression for the usage of a group of reports that fulfil ``condition``.

    A meter with the aggregation ``last`` keeps the value of the latest report. All others add up.
    """
    return f"""CASE aggregation
        WHEN 'last' THEN (array_agg(quantity ORDER BY occurred_at DESC, id DESC) FILTER (WHERE {condition}))[1]
        ELSE sum(quantity) FILTER (WHERE {condition}) END"""
