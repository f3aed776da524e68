"""Who may change which plan to which, and what it takes: one table, and the questions that are answered from it."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from gateway.errors import ContactSalesRequired, InvalidRequest, NoChange, PaymentMethodRequired
from gateway.services.catalog import Catalog, CatalogPlan
from gateway.services.plan_table import FREE, PlanState

PLUS = "plus"


@dataclass(frozen=True, kw_only=True)
class Transition:
    """A change that the organization may make itself."""

    action: str
    needs_payment_method: bool = False


# (from, to) -> what it is called and what it needs. What is not in here goes through sales.
SELF_SERVE: Mapping[tuple[str, str], Transition] = MappingProxyType(
    {
        (FREE, FREE): Transition(action="enroll"),
        (FREE, PLUS): Transition(action="upgrade", needs_payment_method=True),
        (PLUS, PLUS): Transition(action="change_quantity", needs_payment_method=True),
        (PLUS, FREE): Transition(action="downgrade"),
    }
)
CONTACT_SALES = "contact_sales"


def check(current: PlanState, target: CatalogPlan, quantity: int) -> Transition:
    """The transition from ``current`` to ``quantity`` units of ``target``.

    Raises ContactSalesRequired, InvalidRequest (quantity), NoChange.
    """
    transition = SELF_SERVE.get((current.requested_plan, target.key))
    if transition is None:
        raise ContactSalesRequired(
            f"A change from {current.requested_plan.capitalize()} to {target.name} is made by our sales team."
        )
    if quantity > target.max_quantity:
        raise InvalidRequest(
            "The quantity is too large.", errors={"quantity": [f"At most {target.max_quantity} for {target.name}."]}
        )
    if current.subscription_id is not None and (current.requested_plan, current.quantity) == (target.key, quantity):
        raise NoChange(f"The organization has {target.name} in this quantity already.")
    return transition


def check_payment_method(transition: Transition, *, on_file: bool) -> None:
    """Raises PaymentMethodRequired."""
    if transition.needs_payment_method and not on_file:
        raise PaymentMethodRequired("Add billing details first: this plan is paid by card.")


def action_towards(current_plan: str, target: CatalogPlan) -> str:
    """What the button beside a plan does: current, upgrade, downgrade or contact_sales."""
    if current_plan == target.key:
        return "current"
    transition = SELF_SERVE.get((current_plan, target.key))
    return transition.action if transition is not None else CONTACT_SALES


def actions_from(current_plan: str, catalog: Catalog) -> list[str]:
    """What the organization can do about its plan."""
    towards = {action_towards(current_plan, plan) for plan in catalog.plans if plan.key != current_plan}
    actions = ["change_plan"] if towards & {"upgrade", "downgrade"} else []
    if "downgrade" in towards:
        actions.append("cancel_plan")
    return [*actions, CONTACT_SALES]
