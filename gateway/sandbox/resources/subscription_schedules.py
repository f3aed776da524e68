"""Endpoints of subscription schedules (https://docs.stripe.com/billing/subscriptions/subscription-schedules).

A schedule takes hold of a subscription and gives it up again. Its phases cannot be planned. The errors are inferred.
"""

from stripe.params import (
    SubscriptionScheduleCancelParams,
    SubscriptionScheduleCreateParams,
    SubscriptionScheduleReleaseParams,
    SubscriptionScheduleRetrieveParams,
)

from gateway.sandbox.billing.cancel import cancel as cancel_now
from gateway.sandbox.errors import invalid, required
from gateway.sandbox.json_types import Json
from gateway.sandbox.objects.schedule import build
from gateway.sandbox.objects.subscription import ENDED
from gateway.sandbox.routing import Routes
from gateway.sandbox.work import Work

routes = Routes()


@routes.post("/v1/subscription_schedules", SubscriptionScheduleCreateParams, "from_subscription")
def create(work: Work, params: Json) -> Json:
    """Create a schedule that controls a subscription from now on."""
    if not params.get("from_subscription"):
        raise required("from_subscription")
    found = work.get("subscription", params["from_subscription"], param="from_subscription", status=400)
    if found["status"] in ENDED:
        raise invalid("You cannot create a schedule for a subscription that has ended.", param="from_subscription")
    if found["schedule"]:
        text = f"You cannot migrate a subscription that is already attached to a schedule: `{found['schedule']}`."
        raise invalid(text, param="from_subscription")
    schedule = work.add(build(work, found))
    work.update(found, {"schedule": schedule["id"]})
    return schedule


@routes.get("/v1/subscription_schedules/{schedule}", SubscriptionScheduleRetrieveParams)
def retrieve(work: Work, params: Json, schedule: str) -> Json:
    """Return a schedule."""
    return work.get("subscription_schedule", schedule)


@routes.post("/v1/subscription_schedules/{schedule}/release", SubscriptionScheduleReleaseParams)
def release(work: Work, params: Json, schedule: str) -> Json:
    """End the schedule, and leave its subscription as it is."""
    found = _active(work, schedule)
    work.update(work.get("subscription", found["subscription"]), {"schedule": None})
    ended = {
        "current_phase": None,
        "released_at": work.now,
        "released_subscription": found["subscription"],
        "status": "released",
        "subscription": None,
    }
    return work.update(found, ended, "subscription_schedule.released")


@routes.post("/v1/subscription_schedules/{schedule}/cancel", SubscriptionScheduleCancelParams, "invoice_now prorate")
def cancel(work: Work, params: Json, schedule: str) -> Json:
    """End the schedule and cancel its subscription. Unlike a cancellation, it prorates and invoices by default."""
    found = _active(work, schedule)
    cancel_now(work, work.get("subscription", found["subscription"]), {"invoice_now": True, "prorate": True} | params)
    ended = {"canceled_at": work.now, "current_phase": None, "status": "canceled"}
    return work.update(found, ended, "subscription_schedule.canceled")


def _active(work: Work, schedule: str) -> Json:
    """Return a schedule that controls a subscription, or raise 400."""
    found = work.get("subscription_schedule", schedule)
    if found["status"] != "active":
        raise invalid(f"The subscription schedule is in the `{found['status']}` status.")
    return found
