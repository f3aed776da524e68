"""Carrying a plan change out: the calls that it takes, what their answers mean, and its end.

The web request, the completion job, a webhook or a refresh may each be the one that ends a change. Each call carries an
idempotency key made of the change's id, so whoever repeats it, Stripe does it once.
"""

from datetime import timedelta

import stripe
import structlog

from gateway.db import jobs
from gateway.db.models import OPEN_STATES, PlanChange
from gateway.errors import (
    CardDeclined,
    CatalogNotSynced,
    Conflict,
    ContactSalesRequired,
    GatewayError,
    InvalidRequest,
    NotFound,
    PaymentMethodRequired,
    QuoteStale,
    StripeRejected,
    StripeUnavailable,
)
from gateway.failpoints import Failpoint, failpoint
from gateway.services.customers.deletion import check_for_deletion
from gateway.services.mirror.merge import merge
from gateway.services.mirror.refresh import merge_answer, refresh
from gateway.services.mirror.refresh_jobs import defer_refresh
from gateway.services.plan_changes import payment
from gateway.services.plan_changes.stripe_calls import (
    CREATE,
    UPDATE,
    Step,
    is_too_old,
    lock_change,
    next_step,
    spend_key,
)
from gateway.services.runtime import Gateway
from gateway.services.subscription.billing_state import position_of
from gateway.stripe_api.client import kept_failure, outside_period, stripe_call
from gateway.stripe_api.snapshots import ENDED, SubscriptionSnapshot, UnreadableObject

AFTER_EXPIRY = timedelta(minutes=1)  # by then Stripe has told that the payment came too late
SOON = timedelta(seconds=15)  # by then a refresh that is on its way has come

ADOPT, NEW_KEY = "adopt_subscription", "new_key"

log = structlog.get_logger()


def run(gateway: Gateway, change_id: str, first: Step | None = None) -> None:
    """Make the calls that are still to be made, and end the change if Stripe refuses one.

    ``first``: the call that was frozen with the intent just now. Raises StripeUnavailable: then it is unknown whether
    Stripe did it.
    """
    performed: set[str] = set()
    step = first or following(gateway, change_id)
    while step is not None and step.name not in performed:
        if step.name == CREATE and adopt(gateway, step):
            if ADOPT in performed:  # still not known here: a refresh is on its way, and the job comes after it
                return
            performed.add(ADOPT)
        else:
            try:
                perform(gateway, step)
            except (CardDeclined, NotFound, PaymentMethodRequired, QuoteStale, StripeRejected) as error:
                end(gateway, change_id, "failed", why(gateway, change_id, error), look_again_at=step.subscription_id)
                return
            except StripeUnavailable as error:
                if not kept_failure(error) or NEW_KEY in performed:  # one new key a run: Stripe may be failing for long
                    raise
                retire_key(gateway, step)
                performed.add(NEW_KEY)
            else:
                if step.name == UPDATE:  # the last one
                    return
                performed.add(step.name)
        step = following(gateway, change_id)


def following(gateway: Gateway, change_id: str) -> Step | None:
    """The call to make next, its parameters frozen; None if there is none."""
    try:
        with gateway.database.transaction() as session:
            step = next_step(session, gateway.catalog, change_id, gateway.clock())
    except (CatalogNotSynced, Conflict, InvalidRequest) as error:  # it may not be any more, as it was when it was asked
        end(gateway, change_id, "failed", error)
        return None
    failpoint(Failpoint.PARAMETERS_FROZEN)
    return step


def perform(gateway: Gateway, step: Step) -> None:
    """Make one call, merge its answer, and see to the payment that it may wait for.

    Raises as ``stripe_call`` does, and QuoteStale if the period in which it was quoted has ended.
    """
    try:
        with stripe_call():
            answer = step.perform(gateway.stripe)
    except StripeRejected as error:
        if outside_period(error):
            raise QuoteStale("The billing period has ended since the quote was made.") from error
        raise
    failpoint(Failpoint.STRIPE_ANSWERED)
    merge_answer(gateway, SubscriptionSnapshot, answer, cause=step.change_id, after_revision=step.after_revision)
    failpoint(Failpoint.ANSWER_MERGED)
    if answer.pending_update is not None and isinstance(answer.latest_invoice, stripe.Invoice):
        payment.see_to(gateway, step.change_id, answer.latest_invoice)


def why(gateway: Gateway, change_id: str, error: GatewayError) -> GatewayError:
    """Why Stripe refused a call: of a customer that was deleted it says only what became of the subscription."""
    if isinstance(error, (NotFound, StripeRejected)):
        with gateway.database.reading() as session:
            organization_id = session.get_one(PlanChange, change_id).organization_id
        try:
            check_for_deletion(gateway, organization_id)
        except ContactSalesRequired as closed:
            return closed
    return error


def retire_key(gateway: Gateway, step: Step) -> None:
    """See what became of a call to which Stripe answered 5xx, and let another key make the next try.

    That the answer is replayed says that the call is over, and that its key will bring nothing else for a day. If it
    was carried out, the subscription names the change, and the merge ends it. If not, the same parameters are sent
    again. They name the price, the quantity and the second that are to be, not a difference: should Stripe carry out
    the first call belatedly, the second one finds nothing left to change or to charge. A subscription that was to be
    created is looked for before each try (``adopt``).
    """
    if step.subscription_id is not None:
        refresh(gateway, SubscriptionSnapshot.kind, step.subscription_id)
    with gateway.database.transaction() as session:
        spend_key(session, step)
    log.warning("change_with_new_key", change_id=step.change_id, step=step.name)


def adopt(gateway: Gateway, step: Step) -> bool:
    """Whether the customer has a living subscription that was not known here.

    Made by sales in the dashboard, or by an attempt whose answer was lost longer ago than Stripe keeps keys. It is
    merged, and changed instead of creating a second one.
    """
    with stripe_call():
        page = gateway.stripe.v1.subscriptions.list({"customer": step.params["customer"], "limit": 100})
    found = SubscriptionSnapshot.from_list(page, cause="subscription found")
    with gateway.database.transaction() as session:
        merge(session, found, gateway.clock())
    return any(each.status not in ENDED for each in found)


def finish(gateway: Gateway, change_id: str) -> None:
    """The completion job: ask Stripe what became of the change, then end it. Raises StripeUnavailable: try again."""
    with gateway.database.transaction() as session:
        unfinished = session.get_one(PlanChange, change_id)
        if unfinished.state not in OPEN_STATES:
            return
        subscription = position_of(session, unfinished.organization_id).subscription
    too_old = is_too_old(unfinished, gateway.clock())
    try:
        if subscription is not None:
            refresh(gateway, SubscriptionSnapshot.kind, subscription.id)
        run(gateway, change_id)
    except (StripeUnavailable, UnreadableObject):
        if not too_old:
            raise
    else:
        if not too_old or unfinished.state == "requires_action":  # Stripe was asked: if still open, it waits
            come_back(gateway, change_id)
            return
    # Still open: what Stripe may have done is left to its webhooks and to reconciliation.
    end(gateway, change_id, "abandoned", StripeUnavailable("Stripe could not be reached in time."))


def come_back(gateway: Gateway, change_id: str) -> None:
    """Look at a change that is still open once more: when Stripe will have given up on its payment, or else soon."""
    now = gateway.clock()
    with gateway.database.transaction() as session:
        waiting = session.get_one(PlanChange, change_id)
        if waiting.state not in OPEN_STATES:
            return
        subscription = position_of(session, waiting.organization_id).subscription
        until = subscription.pending_until if subscription is not None else None
        at = max(until or now, now) + AFTER_EXPIRY if waiting.state == "requires_action" else now + SOON
        jobs.defer(session, jobs.FINISH_CHANGE, {"change_id": change_id}, lock=change_id, at=at)


def end(gateway: Gateway, change_id: str, state: str, error: GatewayError, *, look_again_at: str | None = None) -> None:
    """Close a change without success, unless it ended meanwhile.

    ``look_again_at``: a subscription that Stripe refused to change, so it is not what it was taken for.
    """
    log.warning("change_without_success", change_id=change_id, state=state, code=error.code, exc_info=error)
    with gateway.database.transaction() as session:
        ending = lock_change(session, change_id)
        if ending.state in OPEN_STATES:
            ending.close(state, gateway.clock(), {"code": error.code, "detail": error.detail})
        if look_again_at is not None:
            defer_refresh(session, SubscriptionSnapshot.kind, look_again_at)
    failpoint(Failpoint.CHANGE_ENDED)
