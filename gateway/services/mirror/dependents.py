"""What a change of an object entails for others: outdated charges and discounts, and too many payment methods."""

from collections.abc import Mapping, MutableMapping, Sequence
from collections.abc import Set as AbstractSet

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from gateway.db.models import Discounts, Invoice, Mirrored, Organization, PaymentMethod, UpcomingInvoice
from gateway.db.queries import among
from gateway.services.mirror.calculated_charges import compare_with_calculated, is_calculated
from gateway.services.rate_limits.table import MAX_PAYMENT_METHODS
from gateway.stripe_api.snapshots import (
    ENDED,
    CustomerSnapshot,
    DiscountsSnapshot,
    InvoiceSnapshot,
    Observation,
    PaymentMethodSnapshot,
    Reference,
    Snapshot,
    Source,
    SubscriptionSnapshot,
    UpcomingInvoiceSnapshot,
)

Rows = MutableMapping[tuple[str, str], Mirrored]
# Columns that name a payment method, which may have been put on file without an event that reached the gateway.
NAMES_OF_PAYMENT_METHODS = frozenset({"default_payment_method_id", "default_source_id"})


def find_unknown_payment_methods(session: Session, named: set[str], rows: Rows) -> set[str]:
    """Return the ids among ``named`` that the mirror lacks."""
    if not (unsure := named - {stripe_id for kind, stripe_id in rows if kind == PaymentMethodSnapshot.kind}):
        return set()
    return unsure - set(session.scalars(select(PaymentMethod.id).where(among(PaymentMethod.id, unsure))))


def find_surplus_methods(
    session: Session, observations: Sequence[Observation], organizations: Mapping[str, Organization]
) -> list[str]:
    """Return the payment methods that our setup intents have attached although enough were on file before.

    ``organizations`` maps a customer's id to its organization. Of several that were attached together, those that came
    last are too many.
    """
    added = [each for each in observations if isinstance(each, Reference) and each.is_added]
    surplus = []
    for position, each in enumerate(added):
        if (organization := organizations.get(each.owner or "")) is not None:
            earlier = select(func.count()).where(
                PaymentMethod.organization_id == organization.id,
                PaymentMethod.detached.is_(False),
                PaymentMethod.id.not_in([later.id for later in added[position:]]),
            )
            if session.scalars(earlier).one() >= MAX_PAYMENT_METHODS:
                surplus.append(each.id)
    return surplus


def find_discount_ids(snapshot: Snapshot) -> tuple[str, ...]:
    """Return the ids of the discounts that a subscription or customer holds."""
    return snapshot.discount_ids if isinstance(snapshot, SubscriptionSnapshot | CustomerSnapshot) else ()


def lacks_discounts(snapshot: Snapshot, known: AbstractSet[str]) -> bool:
    """Return whether the mirror's discounts of a holder are outdated. ``known`` are their ids.

    A subscription may have used up some of them, which its row shows. A customer's row shows none.
    """
    held = set(find_discount_ids(snapshot))
    return known != held if isinstance(snapshot, CustomerSnapshot) else not held <= known


def update_dependents(session: Session, snapshot: Snapshot, rows: Rows) -> set[tuple[str, str]]:
    """Update what depends on a snapshot that has just been applied. Return kind and id of the objects to refresh.

    A subscription or customer names a discount that the mirror does not know. The charges of a subscription were
    calculated before it changed. An invoice lacks lines that the comparison with its calculated charges needs.
    """
    outdated = set()
    discounts = rows.get((DiscountsSnapshot.kind, snapshot.id))
    known = {each["id"] for each in discounts.entries} if isinstance(discounts, Discounts) else set()
    if lacks_discounts(snapshot, known):
        outdated.add((DiscountsSnapshot.kind, snapshot.id))
    upcoming = rows.get((UpcomingInvoiceSnapshot.kind, snapshot.id))
    if isinstance(snapshot, SubscriptionSnapshot) and isinstance(upcoming, UpcomingInvoice):
        next_invoice = min(item.current_period_end for item in snapshot.items)
        # After a renewal the charges stay, because the invoice must still be compared with them.
        if snapshot.status in ENDED or next_invoice <= upcoming.billing_date:
            remove_upcoming_charges(session, upcoming, rows)
        if upcoming.billing_date == next_invoice and snapshot.status not in ENDED:
            outdated.add((UpcomingInvoiceSnapshot.kind, snapshot.id))
    if isinstance(snapshot, InvoiceSnapshot) and not compare_once(snapshot, rows):
        outdated.add((InvoiceSnapshot.kind, snapshot.id))
    return outdated


def compare_once(snapshot: InvoiceSnapshot, rows: Rows) -> bool:
    """Compare an invoice with the charges calculated ahead. Return False if its lines must be looked up first."""
    invoice = rows[InvoiceSnapshot.kind, snapshot.id]
    upcoming = rows.get((UpcomingInvoiceSnapshot.kind, snapshot.subscription_id or ""))
    if not (isinstance(invoice, Invoice) and isinstance(upcoming, UpcomingInvoice)):
        return True
    if invoice.calculated_due is not None or not is_calculated(snapshot, upcoming):
        return True
    if snapshot.lines is not None:
        compare_with_calculated(invoice, upcoming)
    return snapshot.lines is not None


def remove_upcoming_charges(session: Session, upcoming: UpcomingInvoice, rows: Rows) -> None:
    """Delete the charges now. A later snapshot of the batch may show new ones, which the merge writes at its end."""
    del rows[UpcomingInvoiceSnapshot.kind, upcoming.subscription_id]
    session.execute(delete(UpcomingInvoice).where(UpcomingInvoice.subscription_id == upcoming.subscription_id))


def must_be_recalculated(upcoming: UpcomingInvoiceSnapshot, rows: Mapping[tuple[str, str], Mirrored]) -> bool:
    """Return whether an event shows too few lines, or charges that may be older than the subscription's last change."""
    subscription = rows.get((SubscriptionSnapshot.kind, upcoming.id))
    if upcoming.seen.source is not Source.EVENT or subscription is None or subscription.as_of is None:
        return False
    return upcoming.lines is None or subscription.as_of >= upcoming.seen.as_of
