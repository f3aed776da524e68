"""One merge's batch: the rows that it locks and reads, and the place of each snapshot."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from gateway.db.models import Base, Charge, Invoice, Mirrored, Organization, PaymentMethod, Plan, Price, Subscription
from gateway.db.prepared import Prepared
from gateway.db.queries import among_those
from gateway.services.mirror.created_customers import is_made_by_gateway
from gateway.services.mirror.dependents import (
    NAMES_OF_PAYMENT_METHODS,
    find_discount_ids,
    must_be_recalculated,
    update_dependents,
)
from gateway.services.mirror.locks import CATALOG_KINDS, find_subscribers, lock_catalog, lock_organizations
from gateway.services.mirror.ordering import CLOCK_TOLERANCE, Verdict, decide_order
from gateway.services.mirror.outcome import OUTCOME_OF_VERDICT, Outcome
from gateway.services.mirror.tables import KINDS, build_query, read_order, write_order
from gateway.services.plan_table import writer
from gateway.services.plan_table.rows import OrganizationRows, load_organization_rows, rank_plans
from gateway.services.plan_table.selection import Plans
from gateway.stripe_api.snapshots import (
    CustomerSnapshot,
    DiscountsSnapshot,
    InvoiceSnapshot,
    Observation,
    PaymentMethodSnapshot,
    PriceSnapshot,
    ProductSnapshot,
    Reference,
    Seen,
    Snapshot,
    Source,
    SubscriptionSnapshot,
    UpcomingInvoiceSnapshot,
)
from schemas.fields import ORGANIZATION_ID_PATTERN

KINDS_THAT_CHANGE_PLANS = frozenset({"product", "customer", "subscription", "invoice", "charge"})
# Half of the tolerance between Stripe's clocks. The other half covers the clocks' own difference.
SLOW_ANSWER = CLOCK_TOLERANCE / 2
NEW_ORGANIZATIONS = Prepared(select(Organization).where(among_those(Organization.id, "ids")))


class Batch:
    """The rows that one merge locks and reads, and the work that follows from it."""

    def __init__(self, session: Session, observations: Sequence[Observation]) -> None:
        self.session = session
        self.affected: dict[str, Seen] = {}
        """Organization id -> when and how Stripe showed the last state that may have changed its plan."""
        self.to_refresh: set[tuple[str, str]] = set()
        """Kind and id of the objects to refresh now, because their states cannot be ordered."""
        self.to_refresh_again: set[tuple[str, str]] = set()
        """Kind and id of the objects to refresh again later, because their state may be older than its ``as_of``."""
        self.to_look_up: set[tuple[str, str, datetime]] = set()
        """Kind, id and time of change of the objects to refresh unless another event shows their state."""
        self.to_fill: set[str] = set()
        """Ids of the newly linked customers that may already have other objects at Stripe."""
        self.named_payment_methods: set[str] = set()
        """Ids of the payment methods that a customer or a subscription has begun to name."""
        self.rows: dict[tuple[str, str], Mirrored] = {}
        self.organization_rows: dict[str, OrganizationRows] = {}
        """The rows that each organization's plan follows from. Empty if no observation can change a plan."""
        self.stored_plan_of_product: dict[str, str] = {}
        """The catalogue before this batch, product id -> plan. It is read together with ``organization_rows``."""
        self.subscribers: Sequence[str] = ()
        """Ids of the organizations on a product that begins or ceases to stand for a plan."""
        self.by_id: dict[str, Organization] = {}
        self.by_customer: dict[str, Organization] = {}
        self.lock_and_load(observations)

    def lock_and_load(self, observations: Sequence[Observation]) -> None:
        """Lock the organizations that the observations concern, and read the rows to merge into."""
        snapshots = [each for each in observations if isinstance(each, Snapshot)]
        if any(each.kind in CATALOG_KINDS for each in snapshots):
            lock_catalog(self.session, to_change=True)
            self.load_rows("product", snapshots)
        self.subscribers = find_subscribers(self.session, self.find_remapped_products(snapshots))
        # One sorted statement locks all organizations before any of their rows. Without the order, batches deadlock.
        organizations = lock_organizations(self.session, observations, self.subscribers)
        self.by_id = {each.id: each for each in organizations}
        self.by_customer = {each.stripe_customer_id: each for each in organizations if each.stripe_customer_id}
        organizations = [*organizations, *self.create_organizations(snapshots)]
        kinds = {each.kind for each in observations}
        for kind in kinds - {"product", "customer", "subscription"}:
            self.load_rows(kind, observations)
        # A reference need not name its customer, so its subscription is read by id. All other subscriptions come
        # with the rows of their organizations.
        self.load_rows(SubscriptionSnapshot.kind, [each for each in observations if isinstance(each, Reference)])
        self.load_rows_by_id(DiscountsSnapshot.kind, {each.id for each in snapshots if find_discount_ids(each)})
        self.load_rows_by_id(
            SubscriptionSnapshot.kind, {each.id for each in snapshots if isinstance(each, UpcomingInvoiceSnapshot)}
        )
        if kinds & KINDS_THAT_CHANGE_PLANS:
            self.organization_rows, self.stored_plan_of_product = load_organization_rows(
                self.session, organizations, [each.seen for each in snapshots]
            )
        for rows in self.organization_rows.values():
            self.rows.update({("subscription", each.id): each for each in rows.subscriptions})
            self.rows.update({("upcoming_invoice", each.subscription_id): each for each in rows.upcoming})
        for row in self.rows.values():
            if isinstance(row, Invoice | Charge) and row.organization_id in self.organization_rows:
                self.organization_rows[row.organization_id].add(row)

    def create_organizations(self, snapshots: Iterable[Snapshot]) -> Sequence[Organization]:
        """Create and return the unknown organizations that customers name in their metadata.

        The gateway trusts this metadata, because anyone who may write it may also change prices at Stripe.
        """
        naming = {
            each.organization_id: each
            for each in snapshots
            if isinstance(each, CustomerSnapshot)
            and each.organization_id is not None
            and ORGANIZATION_ID_PATTERN.fullmatch(each.organization_id)
            and each.organization_id not in self.by_id
            and each.id not in self.by_customer
            and not each.deleted
        }
        if not naming:
            return ()
        # Sorted like the locks. Two batches that create the same organizations would deadlock otherwise.
        values = [{"id": name, "created_at": naming[name].seen.as_of} for name in sorted(naming)]
        query = insert(Organization).values(values).on_conflict_do_nothing().returning(Organization.id)
        new = list(self.session.scalars(query))
        created = [organization for (organization,) in NEW_ORGANIZATIONS.load(self.session, {"ids": new})]
        self.by_id |= {each.id: each for each in created}
        # Another transaction has just created the others. Locking them now would break the order of the locks.
        self.to_refresh |= {(each.kind, each.id) for name, each in naming.items() if name not in self.by_id}
        return created

    def load_rows(self, kind: str, observations: Iterable[Observation]) -> None:
        """Read the stored rows of one kind that the observations are about."""
        self.load_rows_by_id(kind, {each.id for each in observations if each.kind == kind})

    def load_rows_by_id(self, kind: str, ids: Collection[str]) -> None:
        """Read the stored rows of one kind with these ids."""
        if not ids:
            return
        for (row,) in build_query(kind).load(self.session, {"ids": list(ids)}):
            self.rows[kind, getattr(row, KINDS[kind].key)] = row

    def build_plans(self) -> Plans:
        """Return the catalogue as it is after this batch."""
        changed = {row.product_id: row.key for row in self.rows.values() if isinstance(row, Plan)}
        after: dict[str, str | None] = {**self.stored_plan_of_product, **changed}
        known = {product_id: key for product_id, key in after.items() if key is not None}
        return rank_plans(self.session, known)

    def find_remapped_products(self, snapshots: Iterable[Snapshot]) -> set[str]:
        """Return the products that begin or cease to stand for a plan.

        The plans of the organizations on these products must be derived again.
        """
        keys = {row.product_id: row.key for row in self.rows.values() if isinstance(row, Plan)}
        return {each.id for each in snapshots if isinstance(each, ProductSnapshot) and keys.get(each.id) != each.key}

    def apply_observation(self, observation: Observation) -> Outcome:
        """Apply a snapshot to its row, or decide whether a reference needs a lookup."""
        return (
            self.resolve_reference(observation)
            if isinstance(observation, Reference)
            else self.apply_snapshot(observation)
        )

    def resolve_reference(self, reference: Reference) -> Outcome:
        """Look up an object only if it is ours and the mirror is out of date."""
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
        """Store a card's owner before its state is known.

        Stripe's answer for a detached card does not name the customer, so the owner would be lost.
        """
        card = PaymentMethod(
            id=card_id, organization_id=holder.id, type="card", label="", trail=[], rank=0, revision=0, detached=False
        )
        self.rows[PaymentMethodSnapshot.kind, card_id] = card

    def apply_snapshot(self, snapshot: Snapshot) -> Outcome:
        """Order a state before or after the stored one, and write it to the row if it is newer."""
        if isinstance(snapshot, UpcomingInvoiceSnapshot) and must_be_recalculated(snapshot, self.rows):
            self.to_refresh.add((snapshot.kind, snapshot.id))
            return Outcome.REFRESHED
        row = self.find_or_create_row(snapshot)
        if row is None:
            return Outcome.UNKNOWN
        stored = read_order(row)
        verdict, order = decide_order(stored, snapshot)
        if order != stored:
            write_order(row, order)
        if verdict in {Verdict.APPLY, Verdict.APPLY_AND_REFRESH}:
            before = row.loaded()
            for column, value in KINDS[snapshot.kind].column_values(snapshot).items():
                if before.get(column) != value:  # an unchanged column needs no write
                    setattr(row, column, value)
                    if column in NAMES_OF_PAYMENT_METHODS and value is not None:
                        self.named_payment_methods.add(value)
            self.mark_affected(snapshot, row)
            self.to_refresh |= update_dependents(self.session, snapshot, self.rows)
        if verdict in {Verdict.REFRESH, Verdict.APPLY_AND_REFRESH}:
            self.to_refresh.add((snapshot.kind, snapshot.id))
        if snapshot.seen.took > SLOW_ANSWER and verdict is not Verdict.STALE:
            # A slow answer carries the time at which it ended. It shows the object as it was at some moment since the
            # call began. An event from in between would look older and be dropped. A later answer includes its change.
            self.to_refresh_again.add((snapshot.kind, snapshot.id))
        return OUTCOME_OF_VERDICT[verdict]

    def look_up_undecided_invoices(self) -> None:
        """Refresh the unpaid invoices that only a lookup decides. Repeat one that decided nothing after a pause."""
        plans = self.build_plans()
        for each in self.affected:
            for invoice_id in writer.find_undecided_invoices(self.organization_rows[each], plans):
                row = self.rows.get((InvoiceSnapshot.kind, invoice_id))
                was_refreshed = row is not None and row.source == Source.REFRESH
                (self.to_refresh_again if was_refreshed else self.to_refresh).add((InvoiceSnapshot.kind, invoice_id))

    def find_row(self, kind: str, stripe_id: str) -> Mirrored | None:
        """Return the row that already mirrors an object, or None."""
        return self.by_customer.get(stripe_id) if kind == "customer" else self.rows.get((kind, stripe_id))

    def find_or_create_row(self, snapshot: Snapshot) -> Mirrored | None:
        """Return the row that mirrors the object, stored or new. Return None if the object is not ours."""
        if isinstance(snapshot, CustomerSnapshot):
            return self.find_or_assign_organization(snapshot)
        if (stored := self.find_row(snapshot.kind, snapshot.id)) is not None:
            return stored
        new = self.create_row(snapshot)
        if new is not None:
            self.rows[snapshot.kind, snapshot.id] = new
        if isinstance(new, Subscription | Invoice | Charge):
            self.organization_rows[new.organization_id].add(new)
        return new

    def create_row(self, snapshot: Snapshot) -> Mirrored | None:
        """Create a row for an object that the mirror does not have. Return None if the object is not ours."""
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
        """Return the customer's organization, or None.

        If the customer's metadata name an organization without a customer, this customer becomes its customer. The
        webhook may arrive before the answer to the call that created the customer.
        """
        if (known := self.by_customer.get(customer.id)) is not None:
            return known
        named = self.by_id.get(customer.organization_id) if customer.organization_id is not None else None
        if named is None or named.stripe_customer_id is not None:
            return None
        named.stripe_customer_id = customer.id
        if not (customer.deleted or is_made_by_gateway(customer, named.id)):
            self.to_fill.add(customer.id)
        self.by_customer[customer.id] = named
        return named

    def list_rows(self) -> Iterator[Base]:
        """Yield all rows that the merge may have changed."""
        yield from self.by_id.values()
        yield from self.rows.values()
        for rows in self.organization_rows.values():
            yield from rows.list_written()

    def mark_affected(self, snapshot: Snapshot, row: Mirrored) -> None:
        """Remember the organization whose plan may have changed, and the state that may have changed it."""
        if isinstance(row, Organization) and row.deleted:  # a customer affects the plan only by its deletion
            self.affected[row.id] = snapshot.seen
        elif isinstance(row, Organization):
            self.affected.setdefault(row.id, snapshot.seen)
        elif isinstance(row, Subscription):
            self.affected[row.organization_id] = snapshot.seen
        elif isinstance(row, Invoice | Charge):  # its payment may decide whether the organization keeps the plan
            self.affected.setdefault(row.organization_id, snapshot.seen)
        elif isinstance(row, Plan):
            self.affected.update(dict.fromkeys(self.subscribers, snapshot.seen))
