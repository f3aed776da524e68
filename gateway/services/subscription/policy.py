"""Who may change which plan to which, and what it takes: one table, and the questions that are answered from it."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum, auto
from types import MappingProxyType

from gateway.catalog import Catalog, CatalogPlan
from gateway.errors import ContactSalesRequired, InvalidRequest, NoChange, PaymentMethodRequired, UnpaidInvoice
from gateway.services.plan_table.derive import FREE, PlanState

PLUS, ENTERPRISE = "plus", "enterprise"
CONTACT_SALES = "contact_sales"


class Channel(Enum):
    """Who makes a change."""

    SELF_SERVICE = auto()
    SALES = auto()
    """In Stripe's dashboard: it arrives by webhook and is synced like any other."""


class Need(StrEnum):
    """What must be there before more is sold."""

    CARD = "card"
    PAID_UP = "paid_up"
    """No invoice is open whose payment failed: Stripe would credit time that was never paid."""


@dataclass(frozen=True, kw_only=True)
class Transition:
    """A change from one plan to another."""

    action: str
    channel: Channel = Channel.SELF_SERVICE
    needs: frozenset[Need] = frozenset()


BUYING = frozenset({Need.CARD, Need.PAID_UP})
THROUGH_SALES = Transition(action=CONTACT_SALES, channel=Channel.SALES)

# (from, to). What is not in here, as from a plan that is unmapped, goes through sales as well.
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
    """The row of the table."""
    return TRANSITIONS.get((source, target), THROUGH_SALES)


def resolve_target(catalog: Catalog, current: PlanState, plan: str | None) -> CatalogPlan:
    """The plan of that key; without one, the present plan.

    Raises InvalidRequest, and ContactSalesRequired if the present plan is none that is sold here.
    """
    if plan is None and catalog.find(current.requested_plan) is None:
        raise ContactSalesRequired("The present plan was made by our sales team, and is changed by them.")
    return catalog.get(plan or current.requested_plan)


def check_change(current: PlanState, target: CatalogPlan, quantity: int) -> Transition:
    """The transition from ``current`` to ``quantity`` units of ``target``.

    Raises ContactSalesRequired, InvalidRequest (quantity), NoChange.
    """
    transition = find_transition(current.requested_plan, target.key)
    if transition.channel is Channel.SALES:
        raise ContactSalesRequired(
            f"A change from {current.requested_plan.capitalize()} to {target.name} is made by our sales team."
        )
    if quantity > target.max_quantity:
        raise InvalidRequest(
            "The quantity is too large.", errors={"quantity": [f"At most {target.max_quantity} for {target.name}."]}
        )
    if current.subscription_id is not None and (current.requested_plan, current.quantity) == (target.key, quantity):
        raise NoChange(f"The organization has {target.name} in this quantity already.")
    if transition.action == "change_quantity" and quantity < current.quantity:
        return Transition(action=transition.action)  # who gives back needs nothing
    return transition


def check_needs(transition: Transition, *, card: bool = True, paid_up: bool = True) -> None:
    """Raises PaymentMethodRequired, UnpaidInvoice if something that the transition needs is not there."""
    if Need.PAID_UP in transition.needs and not paid_up:
        raise UnpaidInvoice("Pay the open invoice first.")
    if Need.CARD in transition.needs and not card:
        raise PaymentMethodRequired("Add billing details first: this plan is paid by card.")


def choose_action(current_plan: str, target: CatalogPlan) -> str:
    """What the button beside a plan does: current, upgrade, downgrade or contact_sales."""
    return "current" if current_plan == target.key else find_transition(current_plan, target.key).action


def list_actions(current_plan: str, catalog: Catalog) -> list[str]:
    """What the organization can do about its plan."""
    towards = {choose_action(current_plan, plan) for plan in catalog.plans if plan.key != current_plan}
    actions = ["change_plan"] if towards & {"upgrade", "downgrade"} else []
    if "downgrade" in towards:
        actions.append("cancel_plan")
    return [*actions, CONTACT_SALES]
