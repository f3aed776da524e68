"""Plan changes. Intent first, then Stripe, then the merge; killed at any line, a change is finished or given up.

1. Transaction: the policy is checked and the change is written, together with the job that will finish it.
2. For each call that it takes: transaction that freezes the call's parameters; the call, with no transaction open;
   transaction that merges the answer. The merge closes the change when the plan table has arrived.

Each call carries an idempotency key made of the change's id, and the change's id rides in the subscription's metadata.
So the web request, the job, a webhook or a refresh may each be the one that ends the change, and Stripe does it once.
"""

import re
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from gateway.db import jobs
from gateway.db.models import OPEN_STATES, Json, Organization, PlanChange
from gateway.errors import (
    CardDeclined,
    CatalogNotSynced,
    ChangeInProgress,
    DatabaseUnavailable,
    GatewayError,
    NotEnrolled,
    NotFound,
    StripeRejected,
    StripeUnavailable,
)
from gateway.services import payment_methods, policy, quotes, sync
from gateway.services.catalog import CatalogPlan, price_of
from gateway.services.change_steps import CREATE, Step, next_step
from gateway.services.context import Caller, Gateway
from gateway.services.organizations import ensure_customer, lock_organization, refuse_closed
from gateway.services.plan_details import PlanDetails, read_details
from gateway.services.plan_table import FREE
from gateway.services.policy import Transition
from gateway.services.positions import open_change, position_of
from gateway.services.quotes import Terms
from gateway.services.refresh import merge_answer, refresh
from gateway.stripe_api.client import stripe_call
from gateway.stripe_api.snapshots import ENDED, SubscriptionSnapshot, UnreadableObject
from gateway.stripe_api.times import from_unix
from schemas.subscription import ChangeCommand

FINISH_AFTER = timedelta(seconds=30)  # by then the request has usually ended; if not, the keys make the two do it once
CHANGE_ID = re.compile(r"\Achg_[0-9a-f]{32}\Z")
GIVE_UP_AFTER = timedelta(hours=23)  # Stripe forgets an idempotency key after 24 hours: a later try could act again

ADOPT = "adopt_subscription"

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class ChangeView:
    """A change, and the plan as it stands now."""

    id: str
    state: str
    from_plan: str
    to_plan: str
    quantity: int
    error: Json | None
    created_at: datetime
    subscription: PlanDetails


def change(gateway: Gateway, caller: Caller, command: ChangeCommand) -> ChangeView:
    """Move the organization to a plan and quantity, enrolling it first if need be.

    Gives the change: ``applied``, or ``processing`` if Stripe did not answer in time; then it ends within a minute.
    Raises what ``policy`` and ``quotes`` raise and ChangeInProgress (no change is written then), CardDeclined and
    StripeRejected (the change has ``failed``), DatabaseUnavailable (with the change's Location if it was written).
    """
    terms = quotes.read_token(gateway.config, command.quote, gateway.clock()) if command.quote is not None else None
    with gateway.database.transaction() as session:
        _, _, transition = admit(session, gateway, caller, command, terms)
    ensure_customer(gateway, caller)
    if command.payment_method is not None:
        payment_methods.set_default(gateway, caller, command.payment_method)
    on_file = transition.needs_payment_method and payment_methods.is_on_file(gateway, caller)
    policy.check_payment_method(transition, on_file=on_file)
    change_id = write_intent(gateway, caller, command, terms)
    try:
        run(gateway, change_id)
    except StripeUnavailable:
        # Done or not, nobody knows: the job asks Stripe and decides. The caller is told that it is processing.
        log.warning("change_outcome_unknown", change_id=change_id, exc_info=True)
    except DatabaseUnavailable as error:  # the same, and the change cannot even be read: say where it will be
        raise DatabaseUnavailable(error.detail, headers=location_of(change_id), change_id=change_id) from error
    return get_change(gateway, caller, change_id)


def admit(
    session: Session, gateway: Gateway, caller: Caller, command: ChangeCommand, terms: Terms | None
) -> tuple[CatalogPlan, int, Transition]:
    """What is wanted, if it may be. Raises ChangeInProgress, and what ``policy`` and ``quotes`` raise."""
    if (running := open_change(session, caller.organization_id)) is not None:
        raise ChangeInProgress(
            "Another change has not ended yet.", headers=location_of(running.id), change_id=running.id
        )
    refuse_closed(session.get(Organization, caller.organization_id))
    position = position_of(session, caller.organization_id)
    plan = command.plan or (terms.plan if terms is not None else position.state.requested_plan)
    quantity = command.quantity or (terms.quantity if terms is not None else position.quantity_on(plan))
    target = gateway.catalog.get(plan)
    transition = policy.check(position.state, target, quantity)
    if not position.is_enrolled and not command.enroll:
        raise NotEnrolled("Enrol the organization first: POST /v1/subscription.")
    price = price_of(session, target)
    price_of(session, gateway.catalog.get(FREE))  # what an enrolment starts on: better missed now than half-way
    if terms is not None:
        terms.check(caller, position, price.id, plan, quantity)
    return target, quantity, transition


def write_intent(gateway: Gateway, caller: Caller, command: ChangeCommand, terms: Terms | None) -> str:
    """Write the change and the job that will finish it.

    The checks are made again, now under the organization's lock; should they ever fail to hold two requests apart, the
    unique index on changes in flight does.
    """
    now = gateway.clock()
    with gateway.database.transaction() as session:
        lock_organization(session, caller, now)
        target, quantity, _ = admit(session, gateway, caller, command, terms)
        intent = PlanChange(
            id=f"chg_{uuid.uuid4().hex}",
            organization_id=caller.organization_id,
            state="requested",
            actor=caller.actor,
            from_plan=position_of(session, caller.organization_id).state.requested_plan,
            to_plan=target.key,
            quantity=quantity,
            proration_date=from_unix(terms.proration_date) if terms is not None else None,
            steps={},
            created_at=now,
        )
        session.add(intent)
        jobs.defer(session, jobs.FINISH_CHANGE, {"change_id": intent.id}, lock=intent.id, at=now + FINISH_AFTER)
        return intent.id


def run(gateway: Gateway, change_id: str) -> None:
    """Make the calls that are still to be made. Raises StripeUnavailable: then it is unknown whether Stripe did it."""
    performed: set[str] = set()
    while True:
        try:
            with gateway.database.transaction() as session:
                step = next_step(session, gateway.catalog, change_id)
        except CatalogNotSynced as error:  # gone since the intent was written: the call cannot be made
            end(gateway, change_id, "failed", error)
            raise
        if step is None or step.name in performed:
            return
        if step.name == CREATE and adopt(gateway, change_id, step):
            if ADOPT in performed:  # still not known here: a refresh is on its way, and the job comes after it
                return
            performed.add(ADOPT)
            continue
        try:
            with stripe_call():
                answer = step.perform(gateway.stripe)
        except (CardDeclined, NotFound, StripeRejected) as error:
            end(gateway, change_id, "failed", error, look_again_at=step.subscription_id)
            raise
        merge_answer(gateway, SubscriptionSnapshot, answer, cause=change_id, after_revision=step.after_revision)
        performed.add(step.name)


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
        if not too_old:
            run(gateway, change_id)
    except (CardDeclined, CatalogNotSynced, NotFound, StripeRejected):
        log.warning("change_failed", change_id=change_id, exc_info=True)
    except (StripeUnavailable, UnreadableObject):
        if not too_old:
            raise
    if too_old:  # and still open: what Stripe may have done is left to its webhooks and to reconciliation
        end(gateway, change_id, "abandoned", StripeUnavailable("Stripe could not be reached in time."))


def end(gateway: Gateway, change_id: str, state: str, error: GatewayError, *, look_again_at: str | None = None) -> None:
    """Close a change without success, unless it ended meanwhile.

    ``look_again_at``: a subscription that Stripe refused to change, so it is not what it was taken for.
    """
    with gateway.database.transaction() as session:
        ending = session.get_one(PlanChange, change_id, with_for_update=True)
        if ending.state in OPEN_STATES:
            ending.error = {"code": error.code, "detail": error.detail}
            ending.state, ending.ended_at = state, gateway.clock()
        if look_again_at is not None:
            sync.defer_refresh(session, SubscriptionSnapshot.kind, look_again_at)


def location_of(change_id: str) -> dict[str, str]:
    """Where a change is found."""
    return {"Location": f"/v1/subscription/changes/{change_id}"}


def get_change(gateway: Gateway, caller: Caller, change_id: str) -> ChangeView:
    """One of the organization's changes. Raises NotFound."""
    if not CHANGE_ID.match(change_id):
        raise NotFound("There is no such change.")
    with gateway.database.transaction() as session:
        found = session.get(PlanChange, change_id)
        if found is None or found.organization_id != caller.organization_id:
            raise NotFound("There is no such change.")
        return ChangeView(
            id=found.id,
            state=found.state,
            from_plan=found.from_plan,
            to_plan=found.to_plan,
            quantity=found.quantity,
            error=found.error,
            created_at=found.created_at,
            subscription=read_details(session, gateway.catalog, caller.organization_id),
        )


def list_changes(gateway: Gateway, caller: Caller) -> list[PlanChange]:
    """The organization's last changes, newest first."""
    query = select(PlanChange).where(PlanChange.organization_id == caller.organization_id)
    with gateway.database.transaction() as session:
        return list(session.scalars(query.order_by(PlanChange.created_at.desc(), PlanChange.id).limit(100)))
