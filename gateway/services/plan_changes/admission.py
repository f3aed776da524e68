"""Whether a change may be made. The checks read only the local tables."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, bindparam, or_, select
from sqlalchemy.orm import Session

from gateway.catalog import Catalog, CatalogPlan, Trial
from gateway.db.models import IS_OPEN, OPEN_STATES, PlanChange
from gateway.db.prepared import Prepared
from gateway.errors import InvalidRequest, NotEnrolled, PreconditionFailed, QuoteStale, TrialUnavailable
from gateway.services.customers.deletion import refuse_deleted_customer
from gateway.services.intents.reservation import INTENT_ID, OperationInFlight, change_in_progress, is_of_usage
from gateway.services.plan_table.attribution import USAGE
from gateway.services.plan_table.foreign_ends import FOREIGN_ACTOR
from gateway.services.quotes.token import Terms
from gateway.services.rate_limits.table import CHANGES
from gateway.services.runtime import Caller, Gateway
from gateway.services.subscription import exposure, policy
from gateway.services.subscription.billing_rows import REQUESTED
from gateway.services.subscription.billing_state import BillingState, load_billing_state
from gateway.services.subscription.intervals import check_interval
from gateway.services.subscription.levels import choose_quantity
from gateway.services.subscription.policy import Transition
from gateway.services.subscription.pricing import get_price, name_prices
from gateway.services.subscription.trials import find_startable
from schemas.changes import ChangeCommand

UNCOUNTED = (USAGE, FOREIGN_ACTOR)  # the actors whose changes use up nothing of the hourly limit
# One statement for both, because a round trip costs more than the rows. It returns a row even without a change.
INTENT_AND_LATEST = Prepared(
    select(
        INTENT_ID.scalar_subquery().label("intent_id"),
        PlanChange.id,
        PlanChange.state,
        PlanChange.actor,
        PlanChange.created_at,
    )
    .select_from(REQUESTED)
    .outerjoin(
        PlanChange,
        and_(
            PlanChange.organization_id == REQUESTED.c.id,
            or_(IS_OPEN, and_(PlanChange.created_at > bindparam("since"), PlanChange.actor.not_in(UNCOUNTED))),
        ),
    )
    .order_by(IS_OPEN.desc(), PlanChange.created_at.desc())
    .limit(CHANGES.amount)
)


@dataclass(frozen=True, kw_only=True)
class Admitted:
    """A change that has passed all checks but the one for a payment method."""

    source: str
    """The plan that the organization leaves."""
    target: CatalogPlan
    quantity: int
    transition: Transition
    billing: BillingState
    """The state with the contract that the change moves to."""
    trial: Trial | None
    """The trial that the change starts."""


def admit(session: Session, gateway: Gateway, caller: Caller, command: ChangeCommand, terms: Terms | None) -> Admitted:
    """Return the requested change if the organization may make it. Do not check whether a payment method is on file.

    Raise OperationInFlight, PreconditionFailed, ChangeInProgress, RateLimited, NotEnrolled, UnpaidInvoice,
    ExposureLimit, CatalogNotSynced, QuoteStale if the caller saw another price, and what ``refuse_deleted_customer``,
    ``choose_trial``, ``policy.check_change``, ``check_interval`` and ``Terms.check`` raise.
    """
    billing = load_billing_state(session, caller.organization_id, gateway.catalog, (command.currency, caller.currency))
    refuse_version_mismatch(billing, command)
    refuse_another_operation(session, caller, gateway.clock())
    refuse_deleted_customer(is_deleted=billing.is_deleted)
    refuse_other_currency(gateway.catalog, billing, command.currency)
    interval = command.interval or (terms.interval if terms is not None else None) or None
    billing = billing.with_interval(interval)
    trial_plan = choose_trial(gateway.catalog, billing, command, terms)
    plan = trial_plan.key if trial_plan is not None else command.plan or (terms.plan if terms is not None else None)
    target = policy.resolve_target(gateway.catalog, billing.plan_state, plan)
    billing = billing.with_target(target)
    quantity = command.quantity or (terms.quantity if terms is not None else None)
    if quantity is None or (terms is None and caller.actor != USAGE):
        quantity = choose_quantity(gateway.catalog, billing, target, quantity)
    transition = policy.check_change(
        gateway.catalog, billing.plan_state, target, quantity, billing.contract, enrolls=command.enroll
    )
    check_interval(billing, target, interval)
    if trial_plan is not None:
        transition = policy.START_TRIAL
    if target.is_floor:
        policy.check_ending(gateway.catalog, billing.duplicates.values())
    if not billing.is_enrolled and not command.enroll:
        raise NotEnrolled("Enrol the organization first: POST /v1/subscription.")
    if policy.Need.PAID_UP in transition.needs:
        policy.check_needs(transition, paid_up=billing.is_paid_up, lost_dispute=billing.has_lost_dispute)
    exposure.check_change(gateway.catalog, billing, transition, target, quantity)
    price = get_price(billing, target)
    if (
        billing.subscription is None
    ):  # an enrolment starts on the floor plan, so a missing price must not stop it half-way
        get_price(billing, gateway.catalog.floor)
    if command.shown_price not in (None, price.id):
        raise QuoteStale("The price has changed since it was shown.")
    if terms is not None:
        terms.check(caller, billing, name_prices(billing, target), target.key, quantity)
    return Admitted(
        source=billing.plan_state.requested_plan,
        target=target,
        quantity=quantity,
        transition=transition,
        billing=billing,
        trial=trial_plan.trial if trial_plan is not None else None,
    )


def choose_trial(
    catalog: Catalog, billing: BillingState, command: ChangeCommand, terms: Terms | None
) -> CatalogPlan | None:
    """Return the plan whose trial the change starts, or None.

    An enrolment that names no plan starts the trial if one is left, and is one on the floor plan otherwise. Raise
    InvalidRequest if the catalogue has no such trial, and TrialUnavailable.
    """
    subscription, current = billing.subscription, billing.plan_state.requested_plan
    found = find_startable(catalog, current, billing.contract, subscription, had_trial=billing.had_trial)
    if not command.trial:
        names_nothing = command.plan is None and terms is None
        return found if command.enroll and names_nothing and not billing.is_enrolled else None
    offered = catalog.trial_plan
    if offered is None or command.plan not in (None, offered.key):
        sold = f"Only {offered.key} has a trial." if offered is not None else "No plan has a trial."
        raise InvalidRequest("There is no such trial.", errors={"trial": [sold]})
    if found is None:
        had = "The organization has had its trial." if billing.had_trial else f"It starts from {catalog.floor.name}."
        raise TrialUnavailable(f"The trial of {offered.name} cannot be started. {had}")
    return found


def refuse_other_currency(catalog: Catalog, billing: BillingState, currency: str | None) -> None:
    """Raise InvalidRequest if the organization cannot be billed in the requested currency."""
    if currency in (None, billing.contract.currency):
        return
    sold = catalog.floor.currencies
    reason = f"Must be one of: {', '.join(sold)}."
    if currency in sold:
        reason = f"The currency is {billing.contract.currency}, and Stripe cannot change it."
    raise InvalidRequest("The currency is not possible.", errors={"currency": [reason]})


def refuse_version_mismatch(billing: BillingState, command: ChangeCommand) -> None:
    """Raise PreconditionFailed if the caller saw another version of the plan than the present one."""
    version = billing.plan_version
    if command.if_match is not None and version not in command.if_match:
        raise PreconditionFailed(f"The plan is now at version {version}.", version=version)


def refuse_another_operation(session: Session, caller: Caller, now: datetime) -> None:
    """Raise OperationInFlight or ChangeInProgress while another operation of the organization is in flight.

    Raise RateLimited after too many changes. Its ``Retry-After`` is the time until the oldest of them no longer counts.
    """
    since = now - CHANGES.window
    parameters = {"organization_id": caller.organization_id, "since": since}
    latest = INTENT_AND_LATEST.read_in(session, parameters)
    intent_id, change_id, state, actor, _ = latest[0]
    if intent_id is not None or is_of_usage(actor, state):
        raise OperationInFlight
    if state in OPEN_STATES:
        raise change_in_progress(change_id)
    if caller.actor == USAGE:
        return
    times = [created_at for _, change_id, _, _, created_at in latest if change_id is not None]
    CHANGES.refuse_more(times, now, f"At most {CHANGES.amount} changes of the plan are possible per hour.")
