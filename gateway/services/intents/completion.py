"""Carry out a billing intent. Call Stripe, merge the answer and delete the intent.

The request (``perform``) and the completion job (``finish_intent``) both make the call, with the same idempotency key.
Stripe carries out a repeated call once.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog
from sqlalchemy import select

from gateway.db.models import BillingIntent
from gateway.errors import CardDeclined, DatabaseUnavailable, GatewayError, StripeUnavailable
from gateway.failpoints import Failpoint, failpoint
from gateway.services.intents.reservation import Kind, is_too_old, release
from gateway.services.mirror.merge import merge
from gateway.services.mirror.refresh import retrieve_all
from gateway.services.mirror.refresh_jobs import defer_refresh
from gateway.services.rate_limits.card_testing import count_decline
from gateway.services.runtime import Gateway
from gateway.stripe_api.client import is_kept_failure
from gateway.stripe_api.snapshots import Snapshot

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Operation:
    """What one kind of intent does."""

    call: Callable[[Gateway, BillingIntent], Sequence[Snapshot]]
    """Call Stripe with an idempotency key made of the intent's id, and return the states that Stripe shows then."""
    list_objects: Callable[[Gateway, BillingIntent], Sequence[tuple[str, str]]]
    """Return kind and id of the objects that the call changes."""


def perform(gateway: Gateway, operation: Operation, intent: BillingIntent) -> None:
    """Make the intent's call. Then merge the answer and delete the intent in one transaction.

    Raise what the call raises. If Stripe refused the call, merge what Stripe shows and delete the intent first. If the
    outcome is unknown (StripeUnavailable), leave the intent to its job.
    """
    try:
        states = operation.call(gateway, intent)
    except DatabaseUnavailable:
        raise
    except StripeUnavailable as error:
        # Stripe replayed its 5xx. The call is over, and its key returns the same answer for a day.
        if is_kept_failure(error):
            settle(gateway, operation, intent)
        raise
    except GatewayError:
        settle(gateway, operation, intent)
        raise
    failpoint(Failpoint.BILLING_INTENT_ANSWERED)
    merge_and_release(gateway, intent, states)


def settle(gateway: Gateway, operation: Operation, intent: BillingIntent) -> None:
    """Merge the present state of the objects that the call may have changed, and delete the intent.

    Raise StripeUnavailable. The intent then stays, because the next operation would be checked against a wrong mirror.
    """
    merge_and_release(gateway, intent, retrieve_all(gateway, operation.list_objects(gateway, intent)))


def merge_and_release(gateway: Gateway, intent: BillingIntent, states: Sequence[Snapshot]) -> None:
    """Merge the states and delete the intent in one transaction. The next operation sees both or waits."""
    with gateway.database.transaction() as session:
        merge(session, states, gateway.clock())
        release(session, intent)
    failpoint(Failpoint.BILLING_INTENT_RELEASED)


def finish_intent(gateway: Gateway, operations: Mapping[Kind, Operation], intent_id: str) -> None:
    """Run the completion job of an intent whose request died or got no answer.

    ``reservation.reserve`` queues the job with the intent. Raise what ``perform`` raises while the intent stays, and
    the worker then retries the job. An intent that is too old to repeat its call is given up.
    """
    with gateway.database.reading() as session:
        intent = session.scalars(select(BillingIntent).where(BillingIntent.id == intent_id)).one_or_none()
    if intent is None:
        return
    operation = operations[Kind(intent.kind)]
    if is_too_old(intent, gateway.clock()):
        give_up(gateway, operation, intent)
        return
    try:
        perform(gateway, operation, intent)
    except GatewayError as error:
        if is_reserved(gateway, intent):
            raise
        if isinstance(error, CardDeclined):
            with gateway.database.transaction() as session:
                count_decline(session, gateway, intent.organization_id)
        log.warning("billing_intent_refused", intent_id=intent.id, kind=intent.kind, code=error.code, exc_info=True)


def is_reserved(gateway: Gateway, intent: BillingIntent) -> bool:
    """Return whether the intent is still in flight."""
    with gateway.database.reading() as session:
        return session.scalar(select(BillingIntent.id).where(BillingIntent.id == intent.id)) is not None


def give_up(gateway: Gateway, operation: Operation, intent: BillingIntent) -> None:
    """Delete an intent without a further call, and queue the refresh of what its call may have changed."""
    log.error("billing_intent_given_up", intent_id=intent.id, kind=intent.kind, object_id=intent.object_id)
    objects = operation.list_objects(gateway, intent)
    with gateway.database.transaction() as session:
        for kind, stripe_id in objects:
            defer_refresh(session, kind, stripe_id)
        release(session, intent)
