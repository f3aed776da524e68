"""The policy: which plan an organization may change to which, through which channel, and what a change needs."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import Enum, StrEnum, auto

from gateway.catalog import Catalog, CatalogPlan
from gateway.errors import (
    ClassicBillingMode,
    ContactSalesRequired,
    InvalidRequest,
    NoChange,
    PaymentDisputed,
    PaymentMethodRequired,
    PlanUnavailable,
    UnpaidInvoice,
)
from gateway.services.plan_table.derive import PlanState
from gateway.services.subscription.terms import Contract
from gateway.stripe_api.snapshots import ENDED

CONTACT_SALES, PAY_INVOICE, UNAVAILABLE = "contact_sales", "pay_invoice", "unavailable"


class Channel(Enum):
    """Who makes a change."""

    SELF_SERVICE = auto()
    SALES = auto()
    """Sales make the change in Stripe's dashboard. The gateway learns of it by webhook."""


class Need(StrEnum):
    """A condition that must hold before the organization may buy more."""

    CARD = "card"
    PAID_UP = "paid_up"
    """No invoice is due, neither an open nor a written-off one. One that Stripe sent is due on its due date."""


@dataclass(frozen=True, kw_only=True)
class Transition:
    """A change from one plan to another."""

    action: str
    channel: Channel = Channel.SELF_SERVICE
    needs: frozenset[Need] = frozenset()


BUYING = frozenset({Need.CARD, Need.PAID_UP})
THROUGH_SALES = Transition(action=CONTACT_SALES, channel=Channel.SALES)
ENROLL, UPGRADE = Transition(action="enroll"), Transition(action="upgrade", needs=BUYING)
START_TRIAL = Transition(action="start_trial", needs=frozenset({Need.PAID_UP}))
DOWNGRADE = Transition(action="downgrade")
CHANGE_QUANTITY = Transition(action="change_quantity", needs=BUYING)
CHANGE_INTERVAL = Transition(action="change_interval", needs=BUYING)


def find_transition(catalog: Catalog, source: str, target: CatalogPlan) -> Transition:
    """Return the transition from the plan with the key ``source``, which follows from rank, price and ``sales``.

    A plan that the catalogue does not know, such as an unmapped one, goes through sales.
    """
    left = catalog.find(source)
    if left is None or left.sales or target.sales:
        return THROUGH_SALES
    if left.key == target.key:
        return ENROLL if target.is_floor else CHANGE_QUANTITY
    return UPGRADE if target.rank > left.rank else DOWNGRADE


def list_transitions(catalog: Catalog) -> Iterator[tuple[str, str, Transition]]:
    """Yield the whole policy table, as the keys of both plans and the transition."""
    for source in catalog.plans:
        for target in catalog.plans:
            found = find_transition(catalog, source.key, target)
            is_withdrawn = target.archived and target.key != source.key and found.channel is Channel.SELF_SERVICE
            yield source.key, target.key, Transition(action=UNAVAILABLE) if is_withdrawn else found


def resolve_target(catalog: Catalog, current: PlanState, plan: str | None) -> CatalogPlan:
    """Return the plan with the key ``plan``, or the present plan if ``plan`` is None.

    Raise InvalidRequest for an unknown key. Raise ContactSalesRequired if the present plan is not in the catalogue.
    """
    if plan is None and catalog.find(current.requested_plan) is None:
        raise ContactSalesRequired("Our sales team set up the present plan. Please contact them to change it.")
    return catalog.get(plan or current.requested_plan)


def check_change(
    catalog: Catalog,
    current: PlanState,
    target: CatalogPlan,
    quantity: int,
    contract: Contract,
    *,
    enrolls: bool = False,
) -> Transition:
    """Return the transition from ``current`` to ``quantity`` units of ``target`` on the terms of ``contract``.

    A move to another interval begins a period that is paid in full, so it needs what a purchase needs. If the last
    subscription has ended, a request that ``enrolls`` begins another one on the floor plan.
    Raise what ``refuse_fixed`` raises, PlanUnavailable and NoChange. Raise InvalidRequest if the quantity is too
    large.
    """
    transition = find_transition(catalog, current.requested_plan, target)
    if transition.channel is Channel.SALES:
        raise ContactSalesRequired(
            f"Our sales team makes changes from {catalog.name_of(current.requested_plan)} to {target.name}."
        )
    refuse_fixed(contract)
    if (contract.moves or target.key != current.requested_plan) and not contract.sells(target):
        billed = "" if contract.moves else ", as the subscription is billed"
        raise PlanUnavailable(f"{target.name} is not sold in {contract}{billed}. Please contact our sales team.")
    is_held = target.key == current.requested_plan and quantity <= current.quantity and not contract.moves
    if quantity > target.max_quantity and not is_held:  # sales may have sold more
        raise InvalidRequest(
            "The quantity is too large.", errors={"quantity": [f"At most {target.max_quantity} for {target.name}."]}
        )
    is_same = (current.requested_plan, current.quantity) == (target.key, quantity) and not contract.moves
    begins = current.subscription_id is None or (enrolls and current.status in ENDED)
    if is_same and not begins:
        raise NoChange(f"The organization already has {target.name} in this quantity.")
    if transition == CHANGE_QUANTITY and contract.moves:
        transition = CHANGE_INTERVAL
    if transition == CHANGE_QUANTITY and quantity < current.quantity:
        return replace(transition, needs=frozenset())  # reducing the quantity has no preconditions
    if transition in (CHANGE_QUANTITY, CHANGE_INTERVAL) and contract.ends_unpaid:
        return replace(transition, needs=frozenset({Need.PAID_UP}))
    if transition == DOWNGRADE and (contract.moves or quantity > current.quantity):
        return replace(transition, needs=BUYING)  # a year or more units of a smaller plan may cost more
    return transition


def refuse_fixed(contract: Contract) -> None:
    """Raise ContactSalesRequired or ClassicBillingMode if a plan's change must wait for the sales team.

    Raise UnpaidInvoice if it must wait for the first payment.
    """
    if contract.unbegun:
        raise UnpaidInvoice("The subscription begins when its first invoice is paid. It ends within a day otherwise.")
    if contract.scheduled:
        raise ContactSalesRequired("Our sales team has scheduled this subscription. Please contact them to change it.")
    if contract.paused:
        raise ContactSalesRequired("The subscription is paused. Please contact our sales team to resume it.")
    if contract.classic:
        raise ClassicBillingMode(
            "The subscription is in Stripe's classic billing mode, so it cannot be changed here yet. "
            "It must be moved to flexible billing mode first. Please contact our sales team."
        )


def check_ending(catalog: Catalog, plans: Iterable[str]) -> None:
    """Raise ContactSalesRequired if only sales may end one of the plans beside the canceled one."""
    for plan in plans:
        if find_transition(catalog, plan, catalog.floor).channel is Channel.SALES:
            raise ContactSalesRequired(f"Our sales team ends the other subscription, to {catalog.name_of(plan)}.")


def check_needs(transition: Transition, *, card: bool = True, paid_up: bool = True, lost_dispute: bool = False) -> None:
    """Raise PaymentDisputed, UnpaidInvoice or PaymentMethodRequired if a needed condition does not hold."""
    if Need.PAID_UP in transition.needs and lost_dispute:
        raise PaymentDisputed("A payment was disputed and went back. Please contact our sales team.")
    if Need.PAID_UP in transition.needs and not paid_up:
        raise UnpaidInvoice("Pay the unpaid invoice first.")
    if Need.CARD in transition.needs and not card:
        raise PaymentMethodRequired("This plan needs a payment method. Please add billing details first.")


def choose_action(catalog: Catalog, current_plan: str, target: CatalogPlan, contract: Contract) -> str:
    """Return the action of the button beside a plan: current, upgrade, downgrade, contact_sales or unavailable."""
    if current_plan == target.key:
        return "current"
    transition = find_transition(catalog, current_plan, target)
    if transition.channel is Channel.SALES or contract.is_fixed:
        return CONTACT_SALES
    return transition.action if contract.sells(target) else UNAVAILABLE


def list_actions(catalog: Catalog, current_plan: str, contract: Contract) -> list[str]:
    """Return the actions that the organization can take on its plan."""
    towards = {
        choose_action(catalog, current_plan, plan, contract) for plan in catalog.plans if plan.key != current_plan
    }
    actions = ["change_plan"] if towards & {"upgrade", "downgrade"} else []
    if can_change_interval(catalog, current_plan, contract):
        actions.append(CHANGE_INTERVAL.action)
    if "downgrade" in towards:
        actions.append("cancel_plan")
    return [*actions, CONTACT_SALES]


def can_change_interval(catalog: Catalog, current_plan: str, contract: Contract) -> bool:
    """Return whether the organization can be billed for its plan at another interval."""
    plan = catalog.find(current_plan)
    if plan is None or plan.is_floor or plan.sales or contract.is_fixed:
        return False
    return any(contract.is_other_interval(each) for each in list_intervals(plan, contract))


def can_change_quantity(
    catalog: Catalog, current_plan: str, contract: Contract, reported_units: Collection[str]
) -> bool:
    """Return whether the organization itself chooses the quantity. It follows a level if services report the unit."""
    plan = catalog.find(current_plan)
    if plan is None or plan.is_floor or plan.sales or contract.is_fixed:
        return False
    return plan.max_quantity > 1 and plan.unit not in reported_units


def list_intervals(plan: CatalogPlan, contract: Contract) -> list[str]:
    """Return the intervals at which a plan is on sale in the currency of ``contract``, in the order of its prices."""
    return [each.interval for each in plan.prices if each.currency == contract.currency and not plan.archived]
