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

    def __init__(self, session: Session, observations: Sequence[Observation]) -> None:
        self.session = session
        self.affected: dict[str, Seen] = {}
        """Organization id -> how the last state was seen that may have changed its plan."""
        self.to_refresh: set[tuple[str, str]] = set()
        """Kind and id of the objects to be refreshed."""
        self.to_refresh_again: set[tuple[str, str]] = set()
        """Kind and id of the objects to be asked for once more: their state may be older than its ``as_of``."""
        self.to_look_up: set[tuple[str, str, datetime]] = set()
        """Kind and id of the objects to be refreshed if nothing tells their state, and since when."""
        self.rows: dict[tuple[str, str], Mirrored] = {}
        self.organization_rows: dict[str, writer.OrganizationRows] = {}
        """What the plans follow from, by organization, if anything told may change them."""
        self.stored_plan_of_product: dict[str, str] = {}
        """The catalogue before this batch: product id -> plan; read along with the accounts."""
        self.subscribers: Sequence[str] = ()
        """Ids of the organizations on a product that begins or ceases to stand for a plan."""
        self.by_id: dict[str, Organization] = {}
        self.by_customer: dict[str, Organization] = {}
        self.lock_and_load(observations)

    def lock_and_load(self, observations: Sequence[Observation]) -> None:
        """Lock the organizations that the observations concern, and read what their plans follow from."""
        snapshots = [each for each in observations if isinstance(each, Snapshot)]
        self.lock_catalog({snapshot.kind for snapshot in snapshots})
        self.load_rows("product", snapshots)
        self.subscribers = find_subscribers(self.session, self.find_remapped_products(snapshots))
        # All organizations at once, sorted, before any row of theirs: two batches that share some wait for each other
        # instead of deadlocking. Whoever holds an organization holds its rows, also those that do not exist yet.
        organizations = lock_organizations(self.session, observations, self.subscribers)
        self.by_id = {each.id: each for each in organizations}
        self.by_customer = {each.stripe_customer_id: each for each in organizations if each.stripe_customer_id}
        kinds = {each.kind for each in observations}
        for kind in kinds - {"product", "customer", "subscription"}:
            self.load_rows(kind, observations)
        # Subscriptions come with what their plans follow from, but for those that are only referred to: a reference
        # need not say whose the object is.
        self.load_rows(SubscriptionSnapshot.kind, [each for each in observations if isinstance(each, Reference)])
        if kinds & KINDS_THAT_CHANGE_PLANS:
            self.organization_rows, self.stored_plan_of_product = writer.load_organization_rows(
                self.session, organizations, [each.seen for each in snapshots]
            )
        for rows in self.organization_rows.values():
            self.rows.update({("subscription", each.id): each for each in rows.subscriptions})

    def lock_catalog(self, kinds: Collection[str]) -> None:
        """Catalogue rows have no organization to be locked by: their merges go one after the other.

        And none goes while a plan is derived from the catalogue, or the two would miss each other's rows.
        """
        changes_catalog = not {"product", "price"}.isdisjoint(kinds)
        lock = func.pg_advisory_xact_lock if changes_catalog else func.pg_advisory_xact_lock_shared
        self.session.execute(select(lock(CATALOG_LOCK)))

    def load_rows(self, kind: str, observations: Iterable[Observation]) -> None:
        """Read the stored rows of one kind."""
        if not (ids := {each.id for each in observations if each.kind == kind}):
            return
        model, key = KINDS[kind].model, KINDS[kind].key
        query = select(model).where(among(model.__table__.columns[key], ids))
        for row in self.session.scalars(query.execution_options(populate_existing=True)):
            self.rows[kind, getattr(row, key)] = row

    def build_plan_of_product(self) -> dict[str, str]:
        """The catalogue, with what was told of it."""
        changed = {row.product_id: row.key for row in self.rows.values() if isinstance(row, Plan)}
        after: dict[str, str | None] = {**self.stored_plan_of_product, **changed}
        return {product_id: key for product_id, key in after.items() if key is not None}

    def find_remapped_products(self, snapshots: Iterable[Snapshot]) -> set[str]:
        """Products that begin or cease to stand for a plan: the organizations on them must be looked at again."""
        keys = {row.product_id: row.key for row in self.rows.values() if isinstance(row, Plan)}
        return {each.id for each in snapshots if isinstance(each, ProductSnapshot) and keys.get(each.id) != each.key}

    def apply_observation(self, observation: Observation) -> Outcome:
        """Place one snapshot, whose row is written with the batch, or see whether a reference needs a lookup."""
        return (
            self.resolve_reference(observation)
            if isinstance(observation, Reference)
            else self.apply_snapshot(observation)
        )

    def resolve_reference(self, reference: Reference) -> Outcome:
        """Ask for nothing that is not ours, and for nothing that is known already."""
        row = self.find_row(reference.kind, reference.id)
        if row is None and not reference.ours and reference.owner not in self.by_customer:
            return Outcome.UNKNOWN
        if reference.as_of is None:
            if row is None and reference.kind == PaymentMethodSnapshot.kind and reference.owner in self.by_customer:
                self.store_card_owner(reference.id, self.by_customer[reference.owner])
            self.to_refresh.add((reference.kind, reference.id))
        elif row is not None and row.as_of is not None and row.as_of >= reference.as_of:
            return Outcome.NOTED
        else:
            self.to_look_up.add((reference.kind, reference.id, reference.as_of))
        return Outcome.REFRESHED

    def store_card_owner(self, card_id: str, holder: Organization) -> None:
        """Write whose a card is before its state is known: Stripe's answer for a detached one does not say it."""
        card = PaymentMethod(id=card_id, organization_id=holder.id, trail=[], rank=0, revision=0, detached=False)
        self.rows[PaymentMethodSnapshot.kind, card_id] = card
        self.session.add(card)

    def apply_snapshot(self, snapshot: Snapshot) -> Outcome:
        """Order a state after or before the stored one."""
        row = self.find_or_create_row(snapshot)
        if row is None:
            return Outcome.UNKNOWN
        stored = read_order(row)
        verdict, order = decide_order(stored, snapshot)
        if order != stored:
            write_order(row, order)
        if verdict is Verdict.APPLY:
            for column, value in KINDS[snapshot.kind].column_values(snapshot).items():
                if getattr(row, column) != value:  # what stays as it was costs nothing to leave
                    setattr(row, column, value)
            self.mark_affected(snapshot, row)
        elif verdict is Verdict.REFRESH:
            self.to_refresh.add((snapshot.kind, snapshot.id))
        if snapshot.seen.took > SLOW_ANSWER and verdict is not Verdict.STALE:
            # A slow answer bears the date of its end, and shows the object as it was at any time since its beginning:
            # an event from in between would be taken for older. A later answer knows what that event tells.
            self.to_refresh_again.add((snapshot.kind, snapshot.id))
        return OUTCOME_OF_VERDICT[verdict]

    def find_row(self, kind: str, stripe_id: str) -> Mirrored | None:
        """The row that mirrors an object already."""
        return self.by_customer.get(stripe_id) if kind == "customer" else self.rows.get((kind, stripe_id))

    def find_or_create_row(self, snapshot: Snapshot) -> Mirrored | None:
        """The row that mirrors the object, stored or new; None if it is no business of ours."""
        if isinstance(snapshot, CustomerSnapshot):
            return self.find_or_assign_organization(snapshot)
        if (stored := self.find_row(snapshot.kind, snapshot.id)) is not None:
            return stored
        new = self.create_row(snapshot)
        if new is not None:
            self.rows[snapshot.kind, snapshot.id] = new
            self.session.add(new)
        if isinstance(new, Subscription):
            self.organization_rows[new.organization_id].subscriptions.append(new)
        return new

    def create_row(self, snapshot: Snapshot) -> Mirrored | None:
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

    def find_or_assign_organization(self, customer: CustomerSnapshot) -> Organization | None:
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

    def mark_affected(self, snapshot: Snapshot, row: Mirrored) -> None:
        """Remember whose plan may have changed, and why."""
        if isinstance(row, Organization) and row.deleted:  # nothing else of a customer says anything of the plan
            self.affected[row.id] = snapshot.seen
        elif isinstance(row, Organization):
            self.affected.setdefault(row.id, snapshot.seen)
        elif isinstance(row, Subscription):
            self.affected[row.organization_id] = snapshot.seen
        elif isinstance(row, Invoice):  # its payment may decide whether the plan stays
            self.affected.setdefault(row.organization_id, snapshot.seen)
        elif isinstance(row, Plan):
            self.affected.update(dict.fromkeys(self.subscribers, snapshot.seen))
