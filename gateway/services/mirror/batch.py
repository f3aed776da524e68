"""One merge's batch: what it locks and reads, and where each snapshot is placed."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from enum import StrEnum

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from gateway.db.models import Invoice, Mirrored, Organization, PaymentMethod, Plan, Price, Subscription
from gateway.db.queries import among
from gateway.services.mirror.locks import find_subscribers, lock_organizations
from gateway.services.mirror.ordering import CLOCK_TOLERANCE, Verdict, decide_order
from gateway.services.mirror.tables import KINDS, read_order, write_order
from gateway.services.plan_table import writer
from gateway.stripe_api.snapshots import (
    CustomerSnapshot,
    Observation,
    PaymentMethodSnapshot,
    PriceSnapshot,
    ProductSnapshot,
    Reference,
    Seen,
    Snapshot,
    SubscriptionSnapshot,
)

CATALOG_LOCK = 0x636174  # any constant of ours
KINDS_THAT_CHANGE_PLANS = frozenset({"product", "customer", "subscription", "invoice"})
# Within the tolerance of the clocks, with something left for the clocks.
SLOW_ANSWER = CLOCK_TOLERANCE / 2


class Outcome(StrEnum):
    """What became of a snapshot."""

    APPLIED = "applied"
    NOTED = "noted"
    STALE = "stale"
    REFRESHED = "refreshed"
    UNKNOWN = "unknown"
    """Of a customer that is no organization of ours, or of a product that is no plan."""


OUTCOME_OF_VERDICT = {
    Verdict.APPLY: Outcome.APPLIED,
    Verdict.NOTE: Outcome.NOTED,
    Verdict.STALE: Outcome.STALE,
    Verdict.REFRESH: Outcome.REFRESHED,
}


class Batch:
    """What is locked and loaded for one merge, and what came of it."""

    def __init__(self, session: Session, told: Sequence[Observation]) -> None:
        self.session = session
        self.touched: dict[str, Seen] = {}
        """Organization id -> how the last state was seen that may have changed its plan."""
        self.unordered: set[tuple[str, str]] = set()
        """Kind and id of the objects to be refreshed."""
        self.uncertain: set[tuple[str, str]] = set()
        """Kind and id of the objects to be asked for once more: their state may be older than its ``as_of``."""
        self.lookups: set[tuple[str, str, datetime]] = set()
        """Kind and id of the objects to be refreshed if nothing tells their state, and since when."""
        self.rows: dict[tuple[str, str], Mirrored] = {}
        self.accounts: dict[str, writer.OrganizationRows] = {}
        """What the plans follow from, by organization, if anything told may change them."""
        self.plans: dict[str, str] = {}
        """The catalogue before this batch: product id -> plan; read along with the accounts."""
        snapshots = [each for each in told if isinstance(each, Snapshot)]
        self.hold_catalog({snapshot.kind for snapshot in snapshots})
        self.load("product", snapshots)
        self.subscribers = find_subscribers(session, self.remapped(snapshots))
        # All organizations at once, sorted, before any row of theirs: two batches that share some wait for each other
        # instead of deadlocking. Whoever holds an organization holds its rows, also those that do not exist yet.
        organizations = lock_organizations(session, told, self.subscribers)
        self.by_id = {each.id: each for each in organizations}
        self.by_customer = {each.stripe_customer_id: each for each in organizations if each.stripe_customer_id}
        kinds = {each.kind for each in told}
        for kind in kinds - {"product", "customer", "subscription"}:
            self.load(kind, told)
        # Subscriptions come with what their plans follow from, but for those that are only referred to: a reference
        # need not say whose the object is.
        self.load(SubscriptionSnapshot.kind, [each for each in told if isinstance(each, Reference)])
        if kinds & KINDS_THAT_CHANGE_PLANS:
            self.accounts, self.plans = writer.load_organization_rows(
                session, organizations, [each.seen for each in snapshots]
            )
        for account in self.accounts.values():
            self.rows.update({("subscription", each.id): each for each in account.subscriptions})

    def hold_catalog(self, kinds: Collection[str]) -> None:
        """Catalogue rows have no organization to be locked by: their merges go one after the other.

        And none goes while a plan is derived from the catalogue, or the two would miss each other's rows.
        """
        changes_catalog = not {"product", "price"}.isdisjoint(kinds)
        lock = func.pg_advisory_xact_lock if changes_catalog else func.pg_advisory_xact_lock_shared
        self.session.execute(select(lock(CATALOG_LOCK)))

    def load(self, kind: str, told: Iterable[Observation]) -> None:
        """Read the stored rows of one kind."""
        if not (ids := {each.id for each in told if each.kind == kind}):
            return
        model, key = KINDS[kind].model, KINDS[kind].key
        query = select(model).where(among(model.__table__.columns[key], ids))
        for row in self.session.scalars(query.execution_options(populate_existing=True)):
            self.rows[kind, getattr(row, key)] = row

    def plan_of_product(self) -> dict[str, str]:
        """The catalogue, with what was told of it."""
        told = {row.product_id: row.key for row in self.rows.values() if isinstance(row, Plan)}
        after: dict[str, str | None] = {**self.plans, **told}
        return {product_id: key for product_id, key in after.items() if key is not None}

    def remapped(self, snapshots: Iterable[Snapshot]) -> set[str]:
        """Products that begin or cease to stand for a plan: the organizations on them must be looked at again."""
        keys = {row.product_id: row.key for row in self.rows.values() if isinstance(row, Plan)}
        return {each.id for each in snapshots if isinstance(each, ProductSnapshot) and keys.get(each.id) != each.key}

    def place(self, told: Observation) -> Outcome:
        """Place one snapshot, whose row is written with the batch, or see whether a reference needs a lookup."""
        return self.place_reference(told) if isinstance(told, Reference) else self.place_snapshot(told)

    def place_reference(self, reference: Reference) -> Outcome:
        """Ask for nothing that is not ours, and for nothing that is known already."""
        row = self.stored(reference.kind, reference.id)
        if row is None and not reference.ours and reference.owner not in self.by_customer:
            return Outcome.UNKNOWN
        if reference.as_of is None:
            if row is None and reference.kind == PaymentMethodSnapshot.kind and reference.owner in self.by_customer:
                self.hold_place(reference.id, self.by_customer[reference.owner])
            self.unordered.add((reference.kind, reference.id))
        elif row is not None and row.as_of is not None and row.as_of >= reference.as_of:
            return Outcome.NOTED
        else:
            self.lookups.add((reference.kind, reference.id, reference.as_of))
        return Outcome.REFRESHED

    def hold_place(self, card_id: str, holder: Organization) -> None:
        """Write whose a card is before its state is known: Stripe's answer for a detached one does not say it."""
        card = PaymentMethod(id=card_id, organization_id=holder.id, trail=[], rank=0, revision=0, detached=False)
        self.rows[PaymentMethodSnapshot.kind, card_id] = card
        self.session.add(card)

    def place_snapshot(self, snapshot: Snapshot) -> Outcome:
        """Order a state after or before the stored one."""
        row = self.row_of(snapshot)
        if row is None:
            return Outcome.UNKNOWN
        stored = read_order(row)
        verdict, order = decide_order(stored, snapshot)
        if order != stored:
            write_order(row, order)
        if verdict is Verdict.APPLY:
            for column, value in KINDS[snapshot.kind].content(snapshot).items():
                if getattr(row, column) != value:  # what stays as it was costs nothing to leave
                    setattr(row, column, value)
            self.touch(snapshot, row)
        elif verdict is Verdict.REFRESH:
            self.unordered.add((snapshot.kind, snapshot.id))
        if snapshot.seen.took > SLOW_ANSWER and verdict is not Verdict.STALE:
            # A slow answer bears the date of its end, and shows the object as it was at any time since its beginning:
            # an event from in between would be taken for older. A later answer knows what that event tells.
            self.uncertain.add((snapshot.kind, snapshot.id))
        return OUTCOME_OF_VERDICT[verdict]

    def stored(self, kind: str, stripe_id: str) -> Mirrored | None:
        """The row that mirrors an object already."""
        return self.by_customer.get(stripe_id) if kind == "customer" else self.rows.get((kind, stripe_id))

    def row_of(self, snapshot: Snapshot) -> Mirrored | None:
        """The row that mirrors the object, stored or new; None if it is no business of ours."""
        if isinstance(snapshot, CustomerSnapshot):
            return self.organization_of(snapshot)
        if (stored := self.stored(snapshot.kind, snapshot.id)) is not None:
            return stored
        new = self.new_row(snapshot)
        if new is not None:
            self.rows[snapshot.kind, snapshot.id] = new
            self.session.add(new)
        if isinstance(new, Subscription):
            self.accounts[new.organization_id].subscriptions.append(new)
        return new

    def new_row(self, snapshot: Snapshot) -> Mirrored | None:
        """A row for an object never seen before."""
        if isinstance(snapshot, ProductSnapshot):
            return Plan(product_id=snapshot.id) if snapshot.key is not None else None
        if isinstance(snapshot, PriceSnapshot):
            return Price(id=snapshot.id)
        organization = self.by_customer.get(snapshot.owner) if snapshot.owner is not None else None
        if organization is None:
            return None
        kind = KINDS[snapshot.kind]
        return kind.model(**{kind.key: snapshot.id, "organization_id": organization.id})

    def organization_of(self, customer: CustomerSnapshot) -> Organization | None:
        """The customer's organization.

        A customer that names an organization without one becomes its customer: its webhook may come before the answer
        of the call that created it.
        """
        if (known := self.by_customer.get(customer.id)) is not None:
            return known
        named = self.by_id.get(customer.organization_id) if customer.organization_id is not None else None
        if named is None or named.stripe_customer_id is not None:
            return None
        named.stripe_customer_id = customer.id
        self.by_customer[customer.id] = named
        return named

    def touch(self, snapshot: Snapshot, row: Mirrored) -> None:
        """Remember whose plan may have changed, and why."""
        if isinstance(row, Organization) and row.deleted:  # nothing else of a customer says anything of the plan
            self.touched[row.id] = snapshot.seen
        elif isinstance(row, Organization):
            self.touched.setdefault(row.id, snapshot.seen)
        elif isinstance(row, Subscription):
            self.touched[row.organization_id] = snapshot.seen
        elif isinstance(row, Invoice):  # its payment may decide whether the plan stays
            self.touched.setdefault(row.organization_id, snapshot.seen)
        elif isinstance(row, Plan):
            self.touched.update(dict.fromkeys(self.subscribers, snapshot.seen))
