"""Compare snapshots from Stripe with the local tables, in the caller's transaction."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from gateway.db import jobs
from gateway.db.models import (
    IS_OPEN,
    Discounts,
    Invoice,
    Mirrored,
    Organization,
    PaymentMethod,
    PlanChange,
    Subscription,
    WebhookEvent,
)
from gateway.services.mirror.dependents import find_discount_ids, lacks_discounts
from gateway.services.mirror.ordering import CLOCK_TOLERANCE
from gateway.services.mirror.refresh_jobs import refresh_lock
from gateway.services.reconciliation.differences import Cause, Circumstances, Difference, Pair, classify, compare_row
from gateway.stripe_api.snapshots import (
    CustomerSnapshot,
    DiscountsSnapshot,
    InvoiceSnapshot,
    PaymentMethodSnapshot,
    Snapshot,
    SubscriptionSnapshot,
)

Row = Subscription | Invoice | PaymentMethod
MODELS: Mapping[str, type[Row]] = MappingProxyType(
    {
        SubscriptionSnapshot.kind: Subscription,
        InvoiceSnapshot.kind: Invoice,
        PaymentMethodSnapshot.kind: PaymentMethod,
    }
)


@dataclass(frozen=True, kw_only=True)
class Match:
    """Stripe's object, the organization that it belongs to, and the mirror's row if there is one."""

    snapshot: Snapshot
    organization_id: str
    row: Mirrored | None

    @property
    def fields(self) -> dict[str, Pair]:
        """Return the fields that differ. Without a row, that is the id alone."""
        if self.row is None:
            return {"id": (None, self.snapshot.id)}
        fields = compare_row(self.row, self.snapshot)
        if isinstance(self.row, Organization) and self.row.stripe_customer_id is None:
            fields["stripe_customer_id"] = (None, self.snapshot.id)
        return fields

    @property
    def is_overtaken(self) -> bool:
        """Return whether the mirror may have a state that is newer than Stripe's answer.

        A page takes Stripe some time, and a webhook can arrive in between. A row whose time is later than Stripe's
        clock is not newer. An event had a wrong time, and the refresh corrects it.
        """
        if self.row is None or self.row.as_of is None:
            return False
        seen = self.snapshot.seen
        return seen.as_of - seen.took - CLOCK_TOLERANCE <= self.row.as_of <= seen.as_of + CLOCK_TOLERANCE


def find_differences(session: Session, snapshots: Sequence[Snapshot]) -> list[Difference]:
    """Return how Stripe's objects differ from the mirror. Skip those that belong to no organization of ours."""
    matches = match_snapshots(session, snapshots)
    differing = [(match, fields) for match in matches if (fields := match.fields)]
    discounts = find_missed_discounts(session, matches)
    if not differing:
        return discounts
    known = load_circumstances(session, [match for match, _ in differing])
    return discounts + [
        Difference(
            kind=match.snapshot.kind,
            stripe_id=match.snapshot.id,
            organization_id=match.organization_id,
            cause=Cause.IN_FLIGHT if match.is_overtaken else classify(match.row, match.snapshot, fields, known),
            fields=fields,
        )
        for match, fields in differing
    ]


def find_missed_discounts(session: Session, matches: Sequence[Match]) -> list[Difference]:
    """Return the holders whose discounts at Stripe are not those in the mirror."""
    holders = {match.snapshot.id: match for match in matches if not isinstance(match.row, Invoice | PaymentMethod)}
    query = select(Discounts).where(Discounts.holder_id.in_(holders))
    known = {row.holder_id: {each["id"] for each in row.entries} for row in session.scalars(query)}
    missed = {key: each for key, each in holders.items() if lacks_discounts(each.snapshot, known.get(key, set()))}
    queued = jobs.unfinished(session, [refresh_lock(DiscountsSnapshot.kind, each) for each in missed])
    return [
        Difference(
            kind=DiscountsSnapshot.kind,
            stripe_id=holder_id,
            organization_id=match.organization_id,
            cause=Cause.IN_FLIGHT if refresh_lock(DiscountsSnapshot.kind, holder_id) in queued else Cause.MISSED_EVENT,
            fields={"discount_ids": (sorted(known.get(holder_id, ())), list(find_discount_ids(match.snapshot)))},
        )
        for holder_id, match in missed.items()
    ]


def find_misplaced_customers(session: Session, snapshots: Sequence[Snapshot]) -> list[Difference]:
    """Return the customers that name an unknown organization, or one that has another customer."""
    naming = {each.id: name for each in snapshots if (name := named_organization(each)) is not None}
    query = select(Organization.id, Organization.stripe_customer_id).where(
        or_(Organization.id.in_(naming.values()), Organization.stripe_customer_id.in_(naming))
    )
    customers = {name: customer_id for name, customer_id in session.execute(query)}  # noqa: C416 - rows are no tuples to mypy
    linked = set(customers.values())
    # A customer whose event waits in the inbox is about to be linked.
    waiting = find_ids_with_events(session, naming, "pending")
    return [
        Difference(
            kind=CustomerSnapshot.kind,
            stripe_id=customer_id,
            organization_id=name,
            cause=Cause.DUPLICATE_CUSTOMER
            if name in customers
            else (Cause.IN_FLIGHT if customer_id in waiting else Cause.UNLINKED_CUSTOMER),
            fields={},
        )
        for customer_id, name in naming.items()
        if customer_id not in linked and customers.get(name, "") is not None
    ]


def named_organization(snapshot: Snapshot) -> str | None:
    """Return the organization that a customer names in its metadata, or None."""
    return snapshot.organization_id or None if isinstance(snapshot, CustomerSnapshot) else None


def match_snapshots(session: Session, snapshots: Sequence[Snapshot]) -> list[Match]:
    """Match the snapshots of our organizations with the mirror's rows."""
    by_customer = load_organizations(session, {each.owner for each in snapshots if each.owner is not None})
    named = load_unlinked_organizations(
        session, {each.organization_id for each in snapshots if isinstance(each, CustomerSnapshot)}
    )
    rows: dict[str, Row] = {}
    for kind in {each.kind for each in snapshots} - {CustomerSnapshot.kind}:
        rows |= load_rows(session, kind, [each.id for each in snapshots])
    found = []
    for each in snapshots:
        owner = by_customer.get(each.owner or "")
        row: Mirrored | None = rows.get(each.id)
        if isinstance(each, CustomerSnapshot):
            owner = row = owner or named.get(each.organization_id or "")
        if owner is not None:
            found.append(Match(snapshot=each, organization_id=owner.id, row=row))
        elif isinstance(row, PaymentMethod):  # a detached one names no customer
            found.append(Match(snapshot=each, organization_id=row.organization_id, row=row))
    return found


def load_rows(session: Session, kind: str, ids: Collection[str]) -> dict[str, Row]:
    """Load the mirror's rows of subscriptions, invoices or payment methods, by id."""
    model: type[Any] = MODELS[kind]
    return {row.id: row for row in session.scalars(select(model).where(model.id.in_(ids)))}


def load_organizations(session: Session, customers: Collection[str]) -> dict[str, Organization]:
    """Load organizations by their customers' ids."""
    query = select(Organization).where(Organization.stripe_customer_id.in_(customers))
    return {each.stripe_customer_id or "": each for each in session.scalars(query)}


def load_unlinked_organizations(session: Session, ids: Collection[str | None]) -> dict[str, Organization]:
    """Load the organizations without a customer that Stripe's customers name in their metadata."""
    query = select(Organization).where(Organization.id.in_(ids), Organization.stripe_customer_id.is_(None))
    return {each.id: each for each in session.scalars(query)}


def load_circumstances(session: Session, matches: Sequence[Match]) -> Circumstances:
    """Load what the gateway knows about the objects that differ."""
    ids = {match.snapshot.id for match in matches}
    locks = {match.snapshot.id: refresh_lock(match.snapshot.kind, match.snapshot.id) for match in matches}
    owners = {match.organization_id for match in matches}
    changes = select(PlanChange.organization_id).where(PlanChange.organization_id.in_(owners), IS_OPEN)
    changing = set(session.scalars(changes))
    queued = jobs.unfinished(session, list(locks.values()))
    return Circumstances(
        changing={match.snapshot.id for match in matches if match.organization_id in changing},
        waiting=find_ids_with_events(session, ids, "pending") | {each for each in ids if locks[each] in queued},
        failed=find_ids_with_events(session, ids, "failed", "dead"),
    )


def find_ids_with_events(session: Session, ids: Collection[str], *states: str) -> set[str]:
    """Return those of ``ids`` for which the inbox has an event in one of ``states``."""
    query = select(WebhookEvent.object_id).where(WebhookEvent.object_id.in_(ids), WebhookEvent.state.in_(states))
    return {each for each in session.scalars(query) if each is not None}


def uncomparable(
    session: Session, kind: str, causes: Mapping[str, Cause], customers: Mapping[str, str]
) -> list[Difference]:
    """Return differences for objects that cannot be compared, if they belong to an organization of ours.

    ``causes`` maps an object's id to its cause. ``customers`` maps it to the customer's id, as far as Stripe gave one.
    """
    if kind == CustomerSnapshot.kind:
        owners = {customer: each.id for customer, each in load_organizations(session, causes.keys()).items()}
    else:
        by_customer = load_organizations(session, customers.values())
        owners = {each: by_customer[customer].id for each, customer in customers.items() if customer in by_customer}
        owners |= {row.id: row.organization_id for row in load_rows(session, kind, causes.keys()).values()}
    return [
        Difference(kind=kind, stripe_id=stripe_id, organization_id=owners[stripe_id], cause=cause, fields={})
        for stripe_id, cause in causes.items()
        if stripe_id in owners
    ]
