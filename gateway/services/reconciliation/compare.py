"""Snapshots from Stripe's lists against the local tables, in the reader's transaction."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from gateway.db import jobs
from gateway.db.models import IS_OPEN, Invoice, Mirrored, Organization, PlanChange, Subscription, WebhookEvent
from gateway.services.mirror.merge import refresh_lock
from gateway.services.mirror.ordering import CLOCK_TOLERANCE
from gateway.services.reconciliation.differences import Cause, Circumstances, Difference, Pair, classify, compare_row
from gateway.stripe_api.snapshots import CustomerSnapshot, InvoiceSnapshot, Snapshot


@dataclass(frozen=True, kw_only=True)
class Match:
    """Stripe's object, the organization it belongs to, and the mirror's row if there is one."""

    snapshot: Snapshot
    organization_id: str
    row: Mirrored | None

    @property
    def fields(self) -> dict[str, Pair]:
        """What differs; without a row, the object as such."""
        if self.row is None:
            return {"id": (None, self.snapshot.id)}
        fields = compare_row(self.row, self.snapshot)
        if isinstance(self.row, Organization) and self.row.stripe_customer_id is None:
            fields["stripe_customer_id"] = (None, self.snapshot.id)
        return fields

    @property
    def is_overtaken(self) -> bool:
        """Whether the mirror may have heard of something later than the answer: a page takes Stripe its time.

        What is later than Stripe's own clock is no news, but an event with an untrue time: the refresh mends it.
        """
        if self.row is None or self.row.as_of is None:
            return False
        seen = self.snapshot.seen
        return seen.as_of - seen.took - CLOCK_TOLERANCE <= self.row.as_of <= seen.as_of + CLOCK_TOLERANCE


def find_differences(session: Session, snapshots: Sequence[Snapshot]) -> list[Difference]:
    """How Stripe's objects differ from the mirror; those of no organization of ours are passed over."""
    differing = [(match, fields) for match in match_snapshots(session, snapshots) if (fields := match.fields)]
    if not differing:
        return []
    known = load_circumstances(session, [match for match, _ in differing])
    return [
        Difference(
            kind=match.snapshot.kind,
            stripe_id=match.snapshot.id,
            organization_id=match.organization_id,
            cause=Cause.IN_FLIGHT if match.is_overtaken else classify(match.row, match.snapshot, fields, known),
            fields=fields,
        )
        for match, fields in differing
    ]


def match_snapshots(session: Session, snapshots: Sequence[Snapshot]) -> list[Match]:
    """The snapshots of our organizations."""
    by_customer = load_organizations(session, {each.owner for each in snapshots if each.owner is not None})
    named = load_unlinked_organizations(
        session, {each.organization_id for each in snapshots if isinstance(each, CustomerSnapshot)}
    )
    rows: dict[str, Subscription | Invoice] = {}
    for kind in {each.kind for each in snapshots} - {CustomerSnapshot.kind}:
        rows |= load_rows(session, kind, [each.id for each in snapshots])
    found = []
    for each in snapshots:
        owner = by_customer.get(each.owner or "")
        if isinstance(each, CustomerSnapshot):
            owner = owner or named.get(each.organization_id or "")
        if owner is not None:
            row = owner if isinstance(each, CustomerSnapshot) else rows.get(each.id)
            found.append(Match(snapshot=each, organization_id=owner.id, row=row))
    return found


def load_rows(session: Session, kind: str, ids: Collection[str]) -> dict[str, Subscription | Invoice]:
    """The rows that mirror subscriptions or invoices, by their ids."""
    if kind == InvoiceSnapshot.kind:
        return {row.id: row for row in session.scalars(select(Invoice).where(Invoice.id.in_(ids)))}
    return {row.id: row for row in session.scalars(select(Subscription).where(Subscription.id.in_(ids)))}


def load_organizations(session: Session, customers: Collection[str]) -> dict[str, Organization]:
    """Customer id -> its organization."""
    query = select(Organization).where(Organization.stripe_customer_id.in_(customers))
    return {each.stripe_customer_id or "": each for each in session.scalars(query)}


def load_unlinked_organizations(session: Session, ids: Collection[str | None]) -> dict[str, Organization]:
    """Organizations that have no customer yet, of those that customers name as theirs."""
    query = select(Organization).where(Organization.id.in_(ids), Organization.stripe_customer_id.is_(None))
    return {each.id: each for each in session.scalars(query)}


def load_circumstances(session: Session, matches: Sequence[Match]) -> Circumstances:
    """What is known locally of the objects that differ."""
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
    """Those of ``ids`` of which the inbox has an event in one of ``states``."""
    query = select(WebhookEvent.object_id).where(WebhookEvent.object_id.in_(ids), WebhookEvent.state.in_(states))
    return {each for each in session.scalars(query) if each is not None}


def uncomparable(
    session: Session, kind: str, causes: Mapping[str, Cause], customers: Mapping[str, str]
) -> list[Difference]:
    """Objects that cannot be compared, and why: of our organizations only, by mirror or by customer.

    ``causes``: id -> class; ``customers``: id -> customer id, as far as Stripe told.
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
