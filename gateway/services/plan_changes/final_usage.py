"""The usage of a plan that an organization leaves. Stripe bills it when it removes the metered items.

https://docs.stripe.com/billing/subscriptions/billing-mode/compare
"""

from datetime import datetime, timedelta

import structlog

from gateway.db.models import FINAL_USAGE, PlanChange
from gateway.services.plan_changes.leaving import begin_change
from gateway.services.plan_changes.stripe_calls import Step
from gateway.services.runtime import Gateway
from gateway.services.usage.report_to_stripe import send_all_reports
from gateway.services.usage.summary import has_counted, has_usage

LONGEST_WAIT = timedelta(minutes=2)
BEFORE_PERIOD_END = timedelta(minutes=1)
"""How long before its end a period is not waited for. Stripe would renew the plan, and charge another period."""

log = structlog.get_logger()


def send_final_usage(gateway: Gateway, step: Step) -> bool:
    """End the plan here, and send the usage up to now. Return whether the call can be made now.

    A call that removes metered items waits until Stripe has counted the usage, because Stripe bills what it has counted
    then. After two minutes the call is made anyway, because Stripe may count for hours. ``unbilled_usage`` then bills
    the rest. The plan ends first, so that a slow Stripe does not prolong it.
    """
    if not step.removes_items:
        return True
    with gateway.database.reading() as session:
        change = session.get_one(PlanChange, step.change_id)
    final = change.steps.get(FINAL_USAGE)
    since = datetime.fromisoformat(final["start"]) if final is not None else None
    if not has_usage(gateway, change.organization_id, since):
        return True
    begin_change(gateway, step.change_id)
    is_counted = send_all_reports(gateway, change.organization_id) and (
        since is None or has_counted(gateway, change.organization_id, since)
    )
    if is_counted:
        return True
    until = change.created_at + LONGEST_WAIT
    if final is not None:
        until = min(until, datetime.fromisoformat(final["end"]) - BEFORE_PERIOD_END)
    if gateway.clock() < until:
        log.info("change_waits_for_usage", change_id=change.id, organization_id=change.organization_id)
        return False
    log.warning("usage_not_counted_in_time", change_id=change.id, organization_id=change.organization_id)
    return True
