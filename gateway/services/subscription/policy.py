"""The policy: which plan an organization may change to which, through which channel, and what a change needs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum, auto
from types import MappingProxyType

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
from gateway.services.plan_table.selection import FREE
from gateway.services.subscription.terms import Contract

PLUS, ENTERPRISE = "plus", "enterprise"
CONTACT_SALES, PAY_INVOICE, UNAVAILABLE = "contact_sales", "pay_invoice", "unavailable"
NO_CONTRACT = Contract()


class Channel(Enum):
    """Name who makes a change."""

    SELF_SERVICE = auto()
    SALES = auto()
    """Sales make the change in Stripe's dashboard. The gateway learns of it by webhook."""


class Need(StrEnum):
    """Name a condition that must hold before the organization may buy more."""

    CARD = "card"
    PAID_UP = "paid_up"
    """No invoice is unpaid, neither an open nor a written-off one. Stripe would otherwise credit time never paid."""


@dataclass(frozen=True, kw_only=True)
class Transition:
    """Describe a change from one plan to another."""

    action: str
    channel: Channel = Channel.SELF_SERVICE
    needs: frozenset[Need] = frozenset()


BUYING = frozenset({Need.CARD, Need.PAID_UP})
THROUGH_SALES = Transition(action=CONTACT_SALES, channel=Channel.SALES)

# (from, to). A pair that is missing here goes through sales, such as one with an unmapped plan.
TRANSITIONS: Mapping[tuple[str, str], Transition] = MappingProxyType(
    {
        (FREE, FREE): Transition(action="enroll"),
        (FREE, PLUS): Transition(action="upgrade", needs=BUYING),
        (FREE, ENTERPRISE): THROUGH_SALES,
        (PLUS, FREE): Transition(action="downgrade"),
        (PLUS, PLUS): Transition(action="change_quantity", needs=BUYING),
        (PLUS, ENTERPRISE): THROUGH_SALES,
        (ENTERPRISE, FREE): THROUGH_SALES,
        (ENTERPRISE, PLUS): THROUGH_SALES,
        (ENTERPRISE, ENTERPRISE): THROUGH_SALES,
    }
)


def find_transition(source: str, target: str) -> Transition:
    """Return the transition from one plan to another."""
    return TRANSITIONS.get((source, target), THROUGH_SALES)


def resolve_target(catalog: Catalog, current: PlanState, plan: str | None) -> CatalogPlan:
    """Return the plan with the key ``plan``, or the present plan if ``plan`` is None.

    Raises InvalidRequest for an unknown key. Raises ContactSalesRequired if the present plan is not in the catalogue.
    """
    if plan is None and catalog.find(current.requested_plan) is None:
        raise ContactSalesRequired("Our sales team set up the present plan. Please contact them to change it.")
    return catalog.get(plan or current.requested_plan)


def check_change(
    current: PlanState, target: CatalogPlan, quantity: int, contract: Contract = NO_CONTRACT
) -> Transition:
    """Return the transition from ``current`` to ``quantity`` units of ``target``.

    Raises ContactSalesRequired, ClassicBillingMode, PlanUnavailable and NoChange. Raises InvalidRequest if the quantity
    is too large.
    """
    transition = find_transition(current.requested_plan, target.key)
    if transition.channel is Channel.SALES:
        raise ContactSalesRequired(
            f"Our sales team makes changes from {current.requested_plan.capitalize()} to {target.name}."
        )
    if contract.scheduled:
        raise ContactSalesRequired("Our sales team has scheduled this subscription. Please contact them to change it.")
    if contract.classic:
        raise ClassicBillingMode(
            "The subscription is in Stripe's classic billing mode, so it cannot be changed here yet. "
            "It must be moved to flexible billing mode first. Please contact our sales team."
        )
    if target.key != current.requested_plan and not contract.sells(target):
        raise PlanUnavailable(
            f"{target.name} is not sold in {contract}, as the subscription is billed. Please contact our sales team."
        )
    if quantity > target.max_quantity:
        raise InvalidRequest(
            "The quantity is too large.", errors={"quantity": [f"At most {target.max_quantity} for {target.name}."]}
        )
    if current.subscription_id is not None and (current.requested_plan, current.quantity) == (target.key, quantity):
        raise NoChange(f"The organization already has {target.name} in this quantity.")
    if transition.action == "change_quantity" and quantity < current.quantity:
        return Transition(action=transition.action)  # reducing the quantity has no preconditions
    return transition


def check_ending(plans: Iterable[str]) -> None:
    """Raise ContactSalesRequired if only sales may end one of the plans beside the canceled one."""
    for plan in plans:
        if find_transition(plan, FREE).channel is Channel.SALES:
            raise ContactSalesRequired(f"Our sales team ends the other subscription, to {plan.capitalize()}.")


def check_needs(transition: Transition, *, card: bool = True, paid_up: bool = True, lost_dispute: bool = False) -> None:
    """Raise PaymentDisputed, UnpaidInvoice or PaymentMethodRequired if a needed condition does not hold."""
    if Need.PAID_UP in transition.needs and lost_dispute:
        raise PaymentDisputed("A payment was disputed and went back. Please contact our sales team.")
    if Need.PAID_UP in transition.needs and not paid_up:
        raise UnpaidInvoice("Pay the unpaid invoice first.")
    if Need.CARD in transition.needs and not card:
        raise PaymentMethodRequired("This plan needs a payment method. Please add billing details first.")


def choose_action(current_plan: str, target: CatalogPlan, contract: Contract = NO_CONTRACT) -> str:
    """Return the action of the button beside a plan: current, upgrade, downgrade, contact_sales or unavailable."""
    if current_plan == target.key:
        return "current"
    transition = find_transition(current_plan, target.key)
    if transition.channel is Channel.SALES or contract.scheduled or contract.classic:
        return CONTACT_SALES
    return transition.action if contract.sells(target) else UNAVAILABLE


def list_actions(current_plan: str, catalog: Catalog, contract: Contract = NO_CONTRACT) -> list[str]:
    """Return the actions that the organization can take on its plan."""
    towards = {choose_action(current_plan, plan, contract) for plan in catalog.plans if plan.key != current_plan}
    actions = ["change_plan"] if towards & {"upgrade", "downgrade"} else []
    if "downgrade" in towards:
        actions.append("cancel_plan")
    return [*actions, CONTACT_SALES]
