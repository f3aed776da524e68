"""The plans of the catalogue as one organization sees them."""

from dataclasses import dataclass

from gateway.db.models import Organization
from gateway.services.runtime import Caller, Gateway
from gateway.services.subscription import policy
from gateway.services.subscription.billing_state import load_billing_state
from gateway.services.subscription.pricing import find_price
from gateway.services.subscription.terms import PlanPrice


@dataclass(frozen=True, kw_only=True)
class PlanOffer:
    """Describe a plan and the action of the button beside it."""

    key: str
    name: str
    description: str
    max_quantity: int
    price: PlanPrice | None
    """The price at which the organization has the plan or would get it. The list price if it cannot get the plan."""
    action: str


def list_offers(gateway: Gateway, caller: Caller) -> list[PlanOffer]:
    """Return every plan, from the smallest to the largest."""
    with gateway.database.transaction() as session:
        organization = session.get(Organization, caller.organization_id)
        billing = load_billing_state(session, caller.organization_id, gateway.catalog)
    current = billing.plan_state.requested_plan
    closed = organization is not None and organization.deleted
    return [
        PlanOffer(
            key=plan.key,
            name=plan.name,
            description=plan.description,
            max_quantity=plan.max_quantity,
            price=find_price(billing, plan) or (PlanPrice.of_catalog(plan.prices[0]) if plan.prices else None),
            action=policy.CONTACT_SALES
            if closed
            else policy.choose_action(gateway.catalog, current, plan, billing.contract),
        )
        for plan in gateway.catalog.plans
        if not plan.archived or plan.key == current
    ]
