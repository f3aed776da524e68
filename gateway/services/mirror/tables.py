"""The mirror table of each kind of snapshot. A mirror table's columns have the names of the snapshot's fields."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache, cached_property
from types import MappingProxyType

from sqlalchemy import select

from gateway.db.models import (
    Charge,
    Discounts,
    Invoice,
    Mirrored,
    Organization,
    PaymentMethod,
    Plan,
    Price,
    Subscription,
    UpcomingInvoice,
)
from gateway.db.prepared import Prepared
from gateway.db.queries import among_those
from gateway.json_types import Json
from gateway.services.mirror.ordering import Order
from gateway.stripe_api.snapshots import (
    ChargeSnapshot,
    CustomerSnapshot,
    DiscountsSnapshot,
    InvoiceSnapshot,
    PaymentMethodSnapshot,
    PriceSnapshot,
    ProductSnapshot,
    Snapshot,
    Source,
    SubscriptionSnapshot,
    UpcomingInvoiceSnapshot,
)


@dataclass(frozen=True)
class Kind:
    """One kind of Stripe object and its table. ``key`` is the column that holds Stripe's id."""

    snapshot: type[Snapshot]
    model: type[Mirrored]
    key: str

    @cached_property
    def columns(self) -> frozenset[str]:
        """Return the snapshot's fields that the table keeps under the same name."""
        names = {field.name for field in fields(self.snapshot)} - {"id", "organization_id"}
        return frozenset(names & set(self.model.__table__.columns.keys()))

    def column_values(self, snapshot: Snapshot) -> Json:
        """Return the column values for ``snapshot``."""
        shown = vars(snapshot)
        values = {name: shown[name] for name in self.columns}
        if isinstance(snapshot, SubscriptionSnapshot):
            values["items"] = [item.to_json() for item in snapshot.items]
            values["discount_ids"] = list(snapshot.discount_ids)
        if isinstance(snapshot, DiscountsSnapshot):
            values["entries"] = [each.to_json() for each in snapshot.entries]
        if isinstance(snapshot, InvoiceSnapshot | UpcomingInvoiceSnapshot) and snapshot.lines is not None:
            values["lines"] = [each.to_json() for each in snapshot.lines]
        return values


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        each.snapshot.kind: each
        for each in (  # in merge order: an object comes after the objects that it refers to
            Kind(ProductSnapshot, Plan, "product_id"),
            Kind(PriceSnapshot, Price, "id"),
            Kind(CustomerSnapshot, Organization, "stripe_customer_id"),
            Kind(PaymentMethodSnapshot, PaymentMethod, "id"),
            Kind(SubscriptionSnapshot, Subscription, "id"),
            Kind(DiscountsSnapshot, Discounts, "holder_id"),
            Kind(InvoiceSnapshot, Invoice, "id"),
            Kind(ChargeSnapshot, Charge, "id"),
            Kind(UpcomingInvoiceSnapshot, UpcomingInvoice, "subscription_id"),
        )
    }
)


def read_order(row: Mirrored) -> Order | None:
    """Return the order stored with ``row``.

    Return None if Stripe has shown no state yet, as for an organization without a customer.
    """
    stored = row.loaded()
    as_of, source = stored.get("as_of"), stored.get("source")
    if as_of is None or source is None:
        return None
    return Order(
        as_of=as_of,
        source=Source(source),
        rank=stored["rank"],
        trail=tuple(stored["trail"]),
        revision=stored["revision"],
    )


def write_order(row: Mirrored, order: Order) -> None:
    """Store ``order`` with ``row``. What stays the same needs no write."""
    row.as_of, row.trail, row.revision = order.as_of, list(order.trail), order.revision
    stored = row.loaded()
    if stored.get("source") != order.source:
        row.source = order.source
    if stored.get("rank") != order.rank:
        row.rank = order.rank


@cache
def build_query(kind: str) -> Prepared:
    """Return the statement that reads the stored rows of one kind by their ids."""
    model = KINDS[kind].model
    return Prepared(select(model).where(among_those(model.__table__.columns[KINDS[kind].key], "ids")))
