"""The plans of the catalogue as one organization sees them."""

from dataclasses import dataclass

from gateway.catalog import CatalogPrice
from gateway.db.models import Organization
from gateway.services.runtime import Caller, Gateway
from gateway.services.subscription import policy
from gateway.services.subscription.billing_state import load_billing_state


@dataclass(frozen=True, kw_only=True)
class PlanOffer:
    """Describe a plan and the action of the button beside it."""

    key: str
    name: str
    description: str
    max_quantity: int
    price: CatalogPrice | None
    action: str


def list_offers(gateway: Gateway, caller: Caller) -> list[PlanOffer]:
    """Return every plan, from the smallest to the largest."""
    with gateway.database.transaction() as session:
        organization = session.get(Organization, caller.organization_id)
        current = load_billing_state(session, caller.organization_id).plan_state.requested_plan
    closed = organization is not None and organization.deleted
    return [
        PlanOffer(
            key=plan.key,
            name=plan.name,
            description=plan.description,
            max_quantity=plan.max_quantity,
            price=plan.price,
            action=policy.CONTACT_SALES if closed else policy.choose_action(current, plan),
        )
        for plan in gateway.catalog.plans
    ]
