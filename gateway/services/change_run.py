"""Carrying a plan change out: the calls that it takes, what their answers mean, and its end.

The web request, the completion job, a webhook or a refresh may each be the one that ends a change. Each call carries an
idempotency key made of the change's id, so whoever repeats it, Stripe does it once.
"""

from datetime import timedelta

import stripe
import structlog

from gateway.crash_points import CrashPoint, reached
from gateway.db import jobs
from gateway.db.models import OPEN_STATES, PlanChange
from gateway.errors import CardDeclined, CatalogNotSynced, GatewayError, NotFound, StripeRejected, StripeUnavailable
from gateway.services import change_payment, sync
from gateway.services.change_steps import CREATE, Step, next_step
from gateway.services.context import Gateway
from gateway.services.positions import position_of
from gateway.services.refresh import merge_answer, refresh
from gateway.stripe_api.client import stripe_call
from gateway.stripe_api.snapshots import ENDED, SubscriptionSnapshot, UnreadableObject

GIVE_UP_AFTER = timedelta(hours=23)  # Stripe forgets an idempotency key after 24 hours: a later try could act again
AFTER_EXPIRY = timedelta(minutes=1)  # by then Stripe has told that the payment came too late

ADOPT = "adopt_subscription"

log = structlog.get_logger()


def run(gateway: Gateway, change_id: str) -> None:
    """Make the calls that are still to be made, and end the change if Stripe refuses one.

    Raises StripeUnavailable: then it is unknown whether Stripe did it.
    """
    performed: set[str] = set()
    while True:
        try:
            with gateway.database.transaction() as session:
                step = next_step(session, gateway.catalog, change_id)
        except CatalogNotSynced as error:  # gone since the intent was written: the call cannot be made
            end(gateway, change_id, "failed", error)
            return
        reached(CrashPoint.PARAMETERS_FROZEN)
        if step is None or step.name in performed:
            return
        if step.name == CREATE and adopt(gateway, change_id, step):
            if ADOPT in performed:  # still not known here: a refresh is on its way, and the job comes after it
                return
            performed.add(ADOPT)
            continue
        try:
            perform(gateway, step)
        except (CardDeclined, NotFound, StripeRejected) as error:
            end(gateway, change_id, "failed", error, look_again_at=step.subscription_id)
            return
        performed.add(step.name)


def perform(gateway: Gateway, step: Step) -> None:
    """Make one call, merge its answer, and see to the payment that it may wait for. Raises as ``stripe_call`` does."""
    with stripe_call():
        answer = step.perform(gateway.stripe)
    reached(CrashPoint.STRIPE_ANSWERED)
    merge_answer(gateway, SubscriptionSnapshot, answer, cause=step.change_id, after_revision=step.after_revision)
    reached(CrashPoint.ANSWER_MERGED)
    if answer.pending_update is not None and isinstance(answer.latest_invoice, stripe.Invoice):
        change_payment.see_to(gateway, step.change_id, answer.latest_invoice)


def adopt(gateway: Gateway, change_id: str, step: Step) -> bool:
    """Whether the customer has a living subscription that was not known here.

    Made by sales in the dashboard, or by an attempt whose answer was lost longer ago than Stripe keeps keys. It is
    merged, and changed instead of creating a second one.
    """
    with stripe_call():
        page = gateway.stripe.v1.subscriptions.list({"customer": step.params["customer"], "limit": 100})
    found = SubscriptionSnapshot.from_list(page, cause=change_id)
    with gateway.database.transaction() as session:
        sync.merge(session, found, gateway.clock())
    return any(each.status not in ENDED for each in found)


def finish(gateway: Gateway, change_id: str) -> None:
    """The completion job: ask Stripe what became of the change, then end it. Raises StripeUnavailable: try again."""
    with gateway.database.transaction() as session:
        unfinished = session.get_one(PlanChange, change_id)
        if unfinished.state not in OPEN_STATES:
            return
        subscription = position_of(session, unfinished.organization_id).subscription
    too_old = gateway.clock() > unfinished.created_at + GIVE_UP_AFTER
    try:
        if subscription is not None:
            refresh(gateway, SubscriptionSnapshot.kind, subscription.id)
        if unfinished.state == "requires_action":  # Stripe's word is merged: what is still open waits for the customer
            come_back(gateway, change_id)
            return
        if not too_old:
            run(gateway, change_id)
    except (StripeUnavailable, UnreadableObject):
        if not too_old:
            raise
    if too_old:  # and still open: what Stripe may have done is left to its webhooks and to reconciliation
        end(gateway, change_id, "abandoned", StripeUnavailable("Stripe could not be reached in time."))


def come_back(gateway: Gateway, change_id: str) -> None:
    """Look at a change that waits for its payment once more when Stripe will have given up on that."""
    now = gateway.clock()
    with gateway.database.transaction() as session:
        waiting = session.get_one(PlanChange, change_id)
        if waiting.state not in OPEN_STATES:
            return
        subscription = position_of(session, waiting.organization_id).subscription
        until = subscription.pending_until if subscription is not None else None
        at = max(until or now, now) + AFTER_EXPIRY
        jobs.defer(session, jobs.FINISH_CHANGE, {"change_id": change_id}, lock=change_id, at=at)


def end(gateway: Gateway, change_id: str, state: str, error: GatewayError, *, look_again_at: str | None = None) -> None:
    """Close a change without success, unless it ended meanwhile.

    ``look_again_at``: a subscription that Stripe refused to change, so it is not what it was taken for.
    """
    log.warning("change_without_success", change_id=change_id, state=state, code=error.code, exc_info=error)
    with gateway.database.transaction() as session:
        ending = session.get_one(PlanChange, change_id, with_for_update=True)
        if ending.state in OPEN_STATES:
            ending.close(state, gateway.clock(), {"code": error.code, "detail": error.detail})
        if look_again_at is not None:
            sync.defer_refresh(session, SubscriptionSnapshot.kind, look_again_at)
    reached(CrashPoint.CHANGE_ENDED)
