"""The organizations that a merge concerns, and their locks.

A transaction that has locked an organization owns all of its rows, including rows that do not exist yet.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence

from sqlalchemy import Text, cast, func, or_, select
from sqlalchemy.orm import Session

from gateway.db.models import Organization, PaymentMethod, Subscription
from gateway.db.prepared import Prepared
from gateway.db.queries import among, among_those
from gateway.stripe_api.snapshots import (
    CustomerSnapshot,
    Observation,
    PaymentMethodSnapshot,
    ProductSnapshot,
    Snapshot,
)

CONCERNED_ORGANIZATIONS = select(Organization.id, Organization.stripe_customer_id).where(
    or_(among_those(Organization.stripe_customer_id, "customers"), among_those(Organization.id, "organizations"))
)
CATALOG_KINDS = frozenset({"product", "price"})
OTHER = "*"  # names a lock that is no organization's, such as the catalogue's. No organization's id is like this.
CATALOG_LOCK = 0x636174  # an arbitrary constant
CHANGE_CATALOG = select(func.pg_advisory_xact_lock(CATALOG_LOCK))
TRY_TO_CHANGE_CATALOG = select(func.pg_try_advisory_xact_lock(CATALOG_LOCK))
READ_CATALOG = select(func.pg_advisory_xact_lock_shared(CATALOG_LOCK))
LOCK_WITH_CATALOG = Prepared(
    select(Organization)
    .where(
        or_(among_those(Organization.stripe_customer_id, "customers"), among_those(Organization.id, "organizations")),
        # PostgreSQL evaluates it once, before it looks for rows. One statement saves each merge a round trip.
        cast(READ_CATALOG.scalar_subquery(), Text).is_not(None),
    )
    .order_by(Organization.id)
    .with_for_update()
)


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
    """Lock the catalogue, shared, and the organizations that the observations belong to, and those in ``also``."""
    customers, organizations = find_owners(observations)
    held = find_card_holders(session, observations).values()
    parameters = {"customers": customers, "organizations": [*organizations, *held, *also]}
    return [organization for (organization,) in LOCK_WITH_CATALOG.load(session, parameters)]


def find_owners(observations: Iterable[Observation]) -> tuple[list[str], list[str]]:
    """Return the customers and the organizations that the observations name."""
    customers = {each.owner for each in observations if each.owner is not None}
    organizations = {
        each.organization_id for each in observations if isinstance(each, CustomerSnapshot) and each.organization_id
    }
    return list(customers), list(organizations)


def find_card_holders(session: Session, observations: Iterable[Observation]) -> dict[str, str]:
    """Return the organization that had each detached card. Stripe no longer names its customer.

    This query runs separately. Inside the OR, it would make PostgreSQL read all organizations for each batch.
    """
    cards = {each.id for each in observations if isinstance(each, PaymentMethodSnapshot) and each.detached}
    if not cards:
        return {}
    held = select(PaymentMethod.id, PaymentMethod.organization_id).where(among(PaymentMethod.id, cards))
    return dict(session.execute(held).all())


def lock_unlocked(session: Session, events: Mapping[str, Sequence[Observation]]) -> dict[str, str]:
    """Lock what the events concern, except what another session has locked. Wait for no row.

    Return the events that cannot be merged now, each with the organization that is locked, or with ``OTHER``. The other
    events can be merged in this transaction without a wait.
    """
    observations = [each for seen in events.values() for each in seen]
    changes_catalog = any(isinstance(each, Snapshot) and each.kind in CATALOG_KINDS for each in observations)
    owns_catalog = changes_catalog and session.scalar(TRY_TO_CHANGE_CATALOG)
    if not owns_catalog:
        session.execute(READ_CATALOG)
    holders = find_card_holders(session, observations)
    products = {each.id for each in observations if isinstance(each, ProductSnapshot)}
    subscribers = {each: find_subscribers(session, [each]) for each in products}
    customers, organizations = find_owners(observations)
    named = {*organizations, *holders.values(), *(each for some in subscribers.values() for each in some)}
    found = session.execute(CONCERNED_ORGANIZATIONS, {"customers": customers, "organizations": list(named)}).all()
    locked = lock_free_organizations(session, {each.id for each in found})
    locked_customers = {
        each.stripe_customer_id: each.id for each in found if each.id in locked and each.stripe_customer_id is not None
    }

    def find_lock(seen: Observation) -> str | None:
        if isinstance(seen, Snapshot) and seen.kind in CATALOG_KINDS and not owns_catalog:
            return OTHER
        concerned = {*find_owners([seen])[1], holders.get(seen.id), *subscribers.get(seen.id, ())}
        return locked_customers.get(seen.owner) or next(iter(locked & concerned), None)

    locks = {event_id: next(filter(None, map(find_lock, seen)), None) for event_id, seen in events.items()}
    return {event_id: lock for event_id, lock in locks.items() if lock is not None}


def lock_free_organizations(session: Session, organization_ids: Collection[str]) -> set[str]:
    """Lock the organizations that no other session has locked. Return the others."""
    rows = select(Organization.id).where(among(Organization.id, organization_ids)).order_by(Organization.id)
    return set(session.scalars(rows)) - set(session.scalars(rows.with_for_update(skip_locked=True)))
