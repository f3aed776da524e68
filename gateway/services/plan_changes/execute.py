"""Carry out a plan change. Call Stripe, interpret the answers and end the change.

The web request (``run_change``) and the completion job (``finish_change``) both make the calls. Each call carries an
idempotency key made of the change's id, so Stripe carries out a repeated call once. ``end_change`` ends a change that
failed. The merge of an answer, a webhook or a refresh closes one that Stripe carried out
(``plan_table/writer.close_changes``).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import structlog
from sqlalchemy import select

from gateway.db import jobs
from gateway.db.models import OPEN_STATES, PlanChange, Subscription
from gateway.db.queries import among
from gateway.errors import (
    BillingAddressRequired,
    CardDeclined,
    ContactSalesRequired,
    DatabaseUnavailable,
    GatewayError,
    NoImmediateCharge,
    NotFound,
    PaymentMethodRequired,
    QuoteStale,
    StripeNotCalled,
    StripeRejected,
    StripeUnavailable,
)
from gateway.failpoints import Failpoint, failpoint
from gateway.services import idempotency
from gateway.services.customers.deletion import check_for_deletion
from gateway.services.mirror.merge import merge
from gateway.services.mirror.refresh import merge_snapshots, refresh
from gateway.services.mirror.refresh_jobs import defer_refresh
from gateway.services.plan_changes.final_usage import send_final_usage
from gateway.services.plan_changes.leaving import begin_change, lock_with_plan, update_plan
from gateway.services.plan_changes.payment import (
    find_pending_invoice,
    hold_back,
    read_step_answer,
    refuse_unsafe_wait,
    resolve_payment,
)
from gateway.services.plan_changes.stripe_calls import (
    CANCEL,
    CREATE,
    UPDATE,
    Step,
    freeze_next_step,
    is_too_old,
    lock_change,
    spend_key,
)
from gateway.services.plan_changes.unpaid_credits import withdraw_or_leave_to_job
from gateway.services.plan_table.rows import load_plans
from gateway.services.plan_table.selection import stands_for_plan
from gateway.services.plan_table.trials import fail_change
from gateway.services.rate_limits.card_testing import count_decline
from gateway.services.runtime import Gateway
from gateway.services.subscription.billing_state import load_billing_state
from gateway.stripe_api.client import is_kept_failure, is_outside_period, stripe_call
from gateway.stripe_api.snapshots import ENDED, SubscriptionSnapshot, UnreadableObject

AFTER_EXPIRY = timedelta(minutes=1)  # time for Stripe to announce that the payment came too late
SOON = timedelta(seconds=15)  # time for a queued refresh to run

ADOPT, NEW_KEY = "adopt_subscription", "new_key"

log = structlog.get_logger()


def run_change(gateway: Gateway, change_id: str, first: Step | None = None) -> None:
    """Make the remaining calls of the change, and end the change if Stripe refuses one. Return early if it must wait.

    ``first`` is the call that ``write_intent`` has just frozen. The merge of the last answer closes the change. Raise
    StripeUnavailable if it is unknown whether Stripe carried a call out.
    """
    performed: set[str] = set()
    step = first or take_next_step(gateway, change_id)
    while step is not None and step.name not in performed and send_final_usage(gateway, step):
        if step.name == CREATE and adopt_subscription(gateway, step):
            # The mirror still lacks the subscription. A refresh is queued, and the completion job runs after it.
            if ADOPT in performed:
                return
            performed.add(ADOPT)
        else:
            try:
                perform_step(gateway, step)
            except (
                BillingAddressRequired,
                CardDeclined,
                NoImmediateCharge,
                NotFound,
                PaymentMethodRequired,
                QuoteStale,
                StripeRejected,
            ) as error:
                if not hold_back(gateway, step, error):
                    reason = explain_failure(gateway, change_id, error)
                    end_change(gateway, change_id, "failed", reason, stale_subscription_id=step.subscription_id)
                    return
            except StripeUnavailable as error:
                # At most one new key per run, because Stripe may keep failing for a long time.
                if not is_kept_failure(error) or NEW_KEY in performed:
                    raise
                retire_key(gateway, step)
                performed.add(NEW_KEY)
            else:
                if step.name == UPDATE:  # the last one
                    withdraw_or_leave_to_job(gateway, step)
                    return
                performed.add(step.name)
        step = take_next_step(gateway, change_id)


def take_next_step(gateway: Gateway, change_id: str) -> Step | None:
    """Freeze and return the call to make next, or None if there is none.

    End the change if it may no longer be made.
    """
    try:
        with gateway.database.transaction() as session:
            step = freeze_next_step(session, gateway.catalog, change_id, gateway.clock())
    except DatabaseUnavailable:
        raise
    except GatewayError as error:  # the state has changed since the request
        end_change(gateway, change_id, "failed", error)
        return None
    failpoint(Failpoint.PARAMETERS_FROZEN)
    return step


def perform_step(gateway: Gateway, step: Step) -> None:
    """Make one call, merge its answer, and resolve the payment that the change may wait for.

    Raise as ``stripe_call``, ``refuse_unsafe_wait`` and ``resolve_payment`` do. Raise QuoteStale if the quote's
    billing period has ended.
    """
    if step.is_held_back:
        refuse_unsafe_wait(gateway, step)
    try:
        with withdraw_if_not_called(gateway, step.change_id), stripe_call():
            answer = step.perform(gateway.stripe)
    except NotFound:
        if not step.name.startswith(CANCEL):
            raise
        refresh(gateway, SubscriptionSnapshot.kind, step.subscription_id or "")  # an earlier call has ended it
        return
    except StripeRejected as error:
        if is_outside_period(error):
            raise QuoteStale("The billing period has ended since the quote was made.") from error
        raise
    failpoint(Failpoint.STRIPE_ANSWERED)
    merge_snapshots(gateway, *read_step_answer(gateway, step, answer))
    failpoint(Failpoint.ANSWER_MERGED)
    if (invoice := find_pending_invoice(gateway, answer)) is not None:
        resolve_payment(gateway, step.change_id, invoice)


@contextmanager
def withdraw_if_not_called(gateway: Gateway, change_id: str) -> Iterator[None]:
    """End the change if the gateway does not make its first call, because Stripe knows nothing of it then.

    A change that is still ``requested`` has made no call. From its second call on, and once the completion job has
    begun it, it is ``processing``, and ending it could hide what Stripe did. A downgrade that has
    ended its plan is ``processing`` too. A repeated request with the same idempotency key begins a new change.
    """
    try:
        yield
    except StripeNotCalled as error:
        with gateway.database.transaction() as session:
            change = lock_change(session, change_id)
            if change.state == "requested":
                fail_change(session, change, "failed", gateway.clock(), {"code": error.code, "detail": error.detail})
                idempotency.unlink_change(session, change)
        raise


def explain_failure(gateway: Gateway, change_id: str, error: GatewayError) -> GatewayError:
    """Return the reason why Stripe refused a call: ContactSalesRequired if the customer was deleted, else ``error``.

    For a deleted customer, Stripe's own error only mentions the subscription.
    """
    if isinstance(error, (NotFound, StripeRejected)):
        with gateway.database.reading() as session:
            organization_id = session.get_one(PlanChange, change_id).organization_id
        try:
            check_for_deletion(gateway, organization_id)
        except ContactSalesRequired as closed:
            return closed
    return error


def retire_key(gateway: Gateway, step: Step) -> None:
    """Refresh the subscription after a stored 5xx, and use another idempotency key for the next try.

    Stripe replayed the 5xx, so the call is over, and its key returns the same answer for a day. If Stripe carried the
    call out, the subscription names the change, and the merge of the refresh closes it. If not, ``run_change`` sends
    the same parameters again. They name the target price, quantity and second, not a difference. If Stripe still
    carries the first call out late, the second one finds nothing to change or to charge. Before each try to create a
    subscription, ``adopt_subscription`` looks for one.
    """
    if step.subscription_id is not None:
        refresh(gateway, SubscriptionSnapshot.kind, step.subscription_id)
    with gateway.database.transaction() as session:
        spend_key(session, step)
    log.warning("change_with_new_key", change_id=step.change_id, step=step.name)


def adopt_subscription(gateway: Gateway, step: Step) -> bool:
    """Merge the customer's subscriptions from Stripe. Return whether one that runs stands for a plan.

    Sales may have created it in the dashboard. An earlier attempt may have created it too, if its answer was lost and
    Stripe has forgotten its key. The change then updates this subscription, because a second one would bill twice.
    """
    with withdraw_if_not_called(gateway, step.change_id), stripe_call():
        page = gateway.stripe.v1.subscriptions.list({"customer": step.params["customer"], "limit": 100})
    found = SubscriptionSnapshot.from_list(page, cause="subscription found")
    with gateway.database.transaction() as session:
        merge(session, found, gateway.clock())
        ids = [each.id for each in found if each.status not in ENDED]
        plans = load_plans(session)
        stored = session.scalars(select(Subscription).where(among(Subscription.id, ids))).all()
        return any(stands_for_plan(each, plans) for each in stored)


def finish_change(gateway: Gateway, change_id: str) -> None:
    """Run the completion job: ask Stripe what became of the change, and bring it to an end.

    ``request.write_intent`` queues the job with the change. Raise StripeUnavailable or UnreadableObject, and the
    worker then retries the job. Once the change is too old to repeat its calls, end it as ``abandoned`` instead.
    """
    with gateway.database.reading() as session:
        unfinished = session.get_one(PlanChange, change_id)
        if unfinished.state not in OPEN_STATES:
            return
        subscription = load_billing_state(session, unfinished.organization_id, gateway.catalog).subscription
    too_old = is_too_old(unfinished, gateway.clock())
    if not too_old:
        begin_change(gateway, change_id)  # the request's process may have died before it did so
    try:
        if subscription is not None:
            refresh(gateway, SubscriptionSnapshot.kind, subscription.id)
        run_change(gateway, change_id)
    except (StripeUnavailable, UnreadableObject):
        if not too_old:
            raise
    else:
        if not too_old or unfinished.state == "requires_action":  # Stripe answered, so an open change waits
            queue_completion_job(gateway, change_id)
            return
    # If Stripe carried out a call after all, its webhooks and reconciliation correct the plan.
    end_change(gateway, change_id, "abandoned", StripeUnavailable("Stripe could not be reached in time."))


def queue_completion_job(gateway: Gateway, change_id: str) -> None:
    """Queue another completion job (``finish_change``) for a change that is still open.

    It runs after the pending update expires if the change waits for its payment, and soon otherwise.
    """
    now = gateway.clock()
    with gateway.database.transaction() as session:
        waiting = session.get_one(PlanChange, change_id)
        if waiting.state not in OPEN_STATES:
            return
        subscription = load_billing_state(session, waiting.organization_id, gateway.catalog).subscription
        until = subscription.pending_until if subscription is not None else None
        at = max(until or now, now) + AFTER_EXPIRY if waiting.state == "requires_action" else now + SOON
        jobs.defer(session, jobs.FINISH_CHANGE, {"change_id": change_id}, lock=change_id, at=at)


def end_change(
    gateway: Gateway, change_id: str, state: str, error: GatewayError, *, stale_subscription_id: str | None = None
) -> None:
    """End a change without success, unless another process has ended it already.

    ``stale_subscription_id`` names a subscription that Stripe refused to change. Then the mirror is out of date, so a
    job refreshes it (``mirror/refresh.run_refresh_job``).
    """
    log.warning("change_without_success", change_id=change_id, state=state, code=error.code, exc_info=error)
    now = gateway.clock()
    with gateway.database.transaction() as session:
        ending = lock_with_plan(session, change_id)
        if stale_subscription_id is not None:
            defer_refresh(session, SubscriptionSnapshot.kind, stale_subscription_id)
        if ending.state in OPEN_STATES:
            fail_change(session, ending, state, now, {"code": error.code, "detail": error.detail})
            if isinstance(error, CardDeclined):
                count_decline(session, gateway, ending.organization_id)
            if ending.left_at is not None:
                update_plan(session, ending, now)
    failpoint(Failpoint.CHANGE_ENDED)
