"""The organizations that a merge concerns, and their locks.

A transaction that has locked an organization owns all of its rows, including rows that do not exist yet.
"""

from collections.abc import Iterable, Sequence

from sqlalchemy import Text, cast, func, or_, select
from sqlalchemy.orm import Session

from gateway.db.models import Organization, PaymentMethod, Subscription
from gateway.db.queries import among, among_those
from gateway.stripe_api.snapshots import CustomerSnapshot, Observation, PaymentMethodSnapshot

LOCK_ORGANIZATIONS = (
    select(Organization)
    .where(
        or_(among_those(Organization.stripe_customer_id, "customers"), among_those(Organization.id, "organizations"))
    )
    .order_by(Organization.id)
    .with_for_update()
    .execution_options(populate_existing=True)
)
CATALOG_LOCK = 0x636174  # an arbitrary constant
CHANGE_CATALOG = select(func.pg_advisory_xact_lock(CATALOG_LOCK))
READ_CATALOG = select(func.pg_advisory_xact_lock_shared(CATALOG_LOCK))
# PostgreSQL evaluates the condition once, before it looks for rows. One statement saves each merge a round trip.
LOCK_WITH_CATALOG = LOCK_ORGANIZATIONS.where(cast(READ_CATALOG.scalar_subquery(), Text).is_not(None))


def lock_catalog(session: Session, *, to_change: bool) -> None:
    """Lock the catalogue: exclusively to change it, otherwise shared.

    Catalogue rows belong to no organization, so no organization's lock protects them. Without this lock, a
    catalogue merge and a merge that derives plans would miss each other's rows.
    """
    session.execute(CHANGE_CATALOG if to_change else READ_CATALOG)


def find_subscribers(session: Session, product_ids: Iterable[str]) -> list[str]:
    """Return the ids of the organizations with a subscription to one of the products."""
    on_product = [Subscription.items.contains([{"product_id": product_id}]) for product_id in product_ids]
    if not on_product:
        return []
    return list(session.scalars(select(Subscription.organization_id).where(or_(*on_product)).distinct()))


def lock_organizations(
    session: Session, observations: Sequence[Observation], also: Iterable[str]
) -> Sequence[Organization]:
    """Lock the catalogue, shared, and the organizations that the observations belong to, and those in ``also``.

    An observation names its organization by customer, by metadata, or by a card that the organization had.
    """
    customers = {each.owner for each in observations if each.owner is not None}
    organizations = {
        each.organization_id for each in observations if isinstance(each, CustomerSnapshot) and each.organization_id
    }
    detached_cards = {each.id for each in observations if isinstance(each, PaymentMethodSnapshot) and each.detached}
    # This query runs separately. Inside the OR, it would make PostgreSQL read all organizations for each batch.
    if detached_cards:
        held = select(PaymentMethod.organization_id).where(among(PaymentMethod.id, detached_cards))
        organizations.update(session.scalars(held))
    parameters = {"customers": list(customers), "organizations": [*organizations, *also]}
    return session.scalars(LOCK_WITH_CATALOG, parameters).all()
