"""The usage of a plan that an organization leaves. Stripe bills it when it removes the metered items.

https://docs.stripe.com/billing/subscriptions/billing-mode/compare
"""

from datetime import timedelta

import structlog

from gateway.db.models import PlanChange
from gateway.errors import StripeUnavailable
from gateway.services.plan_changes.stripe_calls import Step
from gateway.services.runtime import Gateway
from gateway.services.usage.report_to_stripe import send_all_reports

LONGEST_WAIT = timedelta(minutes=2)

log = structlog.get_logger()


def send_final_usage(gateway: Gateway, step: Step) -> None:
    """Send the usage up to now, because Stripe bills it when it removes the items, and never later.

    Raise StripeUnavailable if Stripe does not take it, so that the completion job tries again. After two minutes the
    call is made anyway, because the organization must not stay on a plan that it has left.
    """
    with gateway.database.reading() as session:
        change = session.get_one(PlanChange, step.change_id)
    if send_all_reports(gateway, change.organization_id):
        return
    if gateway.clock() < change.created_at + LONGEST_WAIT:
        raise StripeUnavailable("Stripe has not taken the usage of the plan yet.")
    log.error("usage_left_unbilled", change_id=step.change_id, organization_id=change.organization_id)
