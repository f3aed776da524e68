"""The end of a period, at which the subscription ends, leaves its trial or renews."""

from gateway.sandbox.billing import endings, trials
from gateway.sandbox.billing.renewal import next_period
from gateway.sandbox.json_types import Json
from gateway.sandbox.objects.subscription import period_end
from gateway.sandbox.work import Work


def cross(work: Work, subscription: Json) -> None:
    """End the subscription's earliest period."""
    if subscription["cancel_at"] and subscription["cancel_at"] <= period_end(subscription):
        endings.end_as_scheduled(work, subscription)
    elif subscription["status"] == "trialing":
        trials.finish(work, subscription)
    else:
        next_period(work, subscription, {})
